"""Several tasks at once: by their ids, or all that a search finds, after a question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
import msgspec

from taskqueue.app import App
from taskqueue.cli import terminal
from taskqueue.cli.find import find
from taskqueue.cli.log.filters import filters, in_words, looked_for, statuses_of
from taskqueue.operations.tasks import Action, Change, Outcome, changes
from taskqueue.operations.words import count
from taskqueue.status import Status
from taskqueue.tasklog.entry import Search
from taskqueue.tasklog.reading import TaskLog

F = TypeVar("F", bound=Callable[..., Any])


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks that a command is about. `total` is None where only reading them all would tell."""

    ids: tuple[str, ...] = ()
    search: Search | None = None
    total: int | None = None


def choice(function: F) -> F:
    """Give a command ID..., the filters, --all and --yes; all but the ids arrive as `choose` takes them."""
    function = click.option("--yes", is_flag=True, help="Ask nothing.")(function)
    function = click.option("--all", "everything", is_flag=True, help="All of them.")(function)
    function = filters(function)
    return click.argument("given", metavar="[ID]...", nargs=-1)(function)


def choose(
    task_log: TaskLog, given: Sequence[str], said: dict[str, Any], *, verb: str, statuses: Sequence[Status]
) -> Chosen:
    """What was chosen. Without ids a person is asked; `statuses` are meant where none was said.

    Raises a usage error if nothing was chosen, UnknownEntry for an id that is none.
    """
    words = in_words(said)
    if given:
        if words or said["everything"]:
            raise click.UsageError("give ids, or say which tasks, not both", click.get_current_context())
        return Chosen(ids=tuple(dict.fromkeys(find(task_log, one) for one in given)), total=len(given))
    if not words and not said["everything"]:
        raise click.UsageError("say which tasks: ids, --status, --queue, ... or --all", click.get_current_context())
    if not statuses_of(said):
        said = said | {"statuses": tuple(statuses)}
    total = _count(task_log, said)
    many = "all tasks" if total is None else count(total, "task")
    terminal.confirm(f"{verb} {many} ({in_words(said)})?", yes=said["yes"])
    return Chosen(search=Search(filters=looked_for(task_log, said)), total=total)


def carry_out(
    app: App, chosen: Chosen, action: Action, *, words: str, force: bool = False
) -> tuple[list[Change], Counter[Outcome]]:
    """Do it, with a bar that is called `words`; what became of each task whose id was given, and how many of all.

    The former is empty where a search was chosen.
    """
    told: list[Change] = []
    counts = Counter[Outcome]()
    with terminal.progress(words, chosen.total) as show:
        for batch in changes(app, app.dispatcher.task_log, action, chosen.search or chosen.ids, force=force):
            counts.update(one.outcome for one in batch)
            show(counts.total())
            told += batch if chosen.ids else ()
    return told, counts


def _count(task_log: TaskLog, said: dict[str, Any]) -> int | None:
    """How many tasks that are, where the counts tell it: by queue and status."""
    if any(said[column] is not None for column in ("name", "owner", "label", "parent", "since")):
        return None
    queue = said["queue"]
    if queue is not None and "*" in queue:
        return None
    wanted = set(statuses_of(said))
    stats = task_log.stats()
    return sum(n for name, by in stats.items() if queue in (None, name) for s, n in by.items() if s in wanted)
