"""What is done to tasks by hand: to one, to many, to all that a search finds; and enqueuing by name."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from taskqueue import codec
from taskqueue.app import App
from taskqueue.handle import Handle
from taskqueue.status import Status
from taskqueue.task import AbstractTask
from taskqueue.tasklog.entry import Cancellation, Entry, Filter, Op, Search
from taskqueue.tasklog.reading import TaskLog, Which
from taskqueue.visible import is_storable

#: entries that are changed in one go
BATCH = 500
Action = Literal["cancel", "archive", "retry"]


class Outcome(enum.StrEnum):
    """What was done to one task."""

    #: it had not started and never will, or was ended by force
    CANCELLED = "cancelled"
    #: it runs, and was asked to stop
    REQUESTED = "requested"
    #: it had ended, and cannot be cancelled
    TOO_LATE = "too late"
    #: it is put away, now or before
    ARCHIVED = "archived"
    #: it was enqueued once more
    RETRIED = "retried"
    #: it has not ended: it can neither be archived nor repeated
    OPEN = "open"
    #: there is none of that id (any more)
    MISSING = "missing"


class Change(msgspec.Struct, frozen=True):
    """What became of the task `id`; `made` is the id of the new task where it was repeated."""

    id: str
    outcome: Outcome
    made: str | None = None


def change(
    app: App,
    task_log: TaskLog,
    action: Action,
    which: Which,
    *,
    force: bool = False,
    progress: Callable[[int], None] = lambda _done: None,
) -> Counter[Outcome]:
    """Do it to one task (an id), several (ids) or all that a Search finds; how many had which outcome.

    As `changes`, which see; `progress` hears after each batch how many were dealt with, and may raise to stop there.
    """
    counts = Counter[Outcome]()
    for batch in changes(app, task_log, action, which, force=force):
        counts.update(one.outcome for one in batch)
        progress(counts.total())
    return counts


def changes(
    app: App, task_log: TaskLog, action: Action, which: Which, *, force: bool = False
) -> Iterator[list[Change]]:
    """Do it batch by batch; what was done to each task. Whoever stops asking stops it between two batches.

    Only what `task_log` may see is changed: pass one owner's view for that owner. An id given alone must exist
    (UnknownEntry); of several, those that do not are MISSING. `force` cancels running tasks at once. Raises
    InvalidSearch, BrokerUnavailable; and of a retry, which repeats a batch whole or not at all, QueueFull, and
    UnknownQueue where a task's queue is not configured here.
    """
    for batch in _batches(task_log, which):
        match action:
            case "cancel":
                yield _cancel(task_log, batch, force=force)
            case "archive":
                yield _archive(task_log, batch)
            case "retry":
                yield _retry(app, task_log, batch)


def make_task(app: App, name: str, typed: Mapping[str, Any]) -> AbstractTask:
    """The task of that name with these arguments, converted by its annotations.

    Raises UnknownTask, InvalidArguments, and ConfigurationError if the application cannot be imported.
    """
    app.import_modules()
    definition = app.registry.get(name)
    return definition.create(codec.convert_arguments(definition, dict(typed)))


def enqueue_registered(
    app: App, name: str, parameters: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> Handle[Any]:
    """Enqueue the registered task of that name, its parameters converted by its annotations; its handle.

    `options` are those of `QueueDispatcher.options`. Raises as `make_task` does, and as every enqueue.
    """
    return app.dispatcher.options(**(options or {})).enqueue(make_task(app, name, parameters))


def _batches(task_log: TaskLog, which: Which) -> Iterator[Sequence[str]]:
    if isinstance(which, str):
        yield [task_log.get(which).id]
        return
    ids: Iterable[str] = which if not isinstance(which, Search) else _found(task_log, which)
    rest = iter(ids)
    while batch := list(dict.fromkeys(islice(rest, BATCH))):
        yield batch


def _found(task_log: TaskLog, search: Search) -> Iterator[str]:
    """Newest first: what is enqueued meanwhile, by this retry among others, is not met on the way."""
    whole = replace(search, sort="created", descending=True, after=None, limit=BATCH)
    return (entry.id for entry in task_log.each(whole))


def _cancel(task_log: TaskLog, ids: Sequence[str], *, force: bool) -> list[Change]:
    done = task_log.cancel(ids, force=force)
    words = {
        Cancellation.CANCELLED: Outcome.CANCELLED,
        Cancellation.REQUESTED: Outcome.REQUESTED,
        Cancellation.TOO_LATE: Outcome.TOO_LATE,
    }
    return [Change(task_id, words[done[task_id]] if task_id in done else Outcome.MISSING) for task_id in ids]


def _archive(task_log: TaskLog, ids: Sequence[str]) -> list[Change]:
    task_log.archive(ids)
    there = _entries(task_log, ids)

    def outcome(task_id: str) -> Outcome:
        entry = there.get(task_id)
        if entry is None:
            return Outcome.MISSING
        return Outcome.ARCHIVED if entry.status is Status.ARCHIVED else Outcome.OPEN

    return [Change(task_id, outcome(task_id)) for task_id in ids]


def _entries(task_log: TaskLog, ids: Sequence[str]) -> dict[str, Entry]:
    """Those that are there, as this view may see them, without payloads."""
    possible = [task_id for task_id in ids if is_storable(task_id)]
    page = task_log.search(Filter("id", Op.IN, possible), limit=BATCH)
    return {entry.id: entry for entry in page.entries}


def _retry(app: App, task_log: TaskLog, ids: Sequence[str]) -> list[Change]:
    there = _entries(task_log, ids)
    ended = [task_id for task_id in ids if task_id in there and there[task_id].status.ended]
    made = {old: new.id for old, new in zip(ended, app.dispatcher.retry_many(ended), strict=True)}

    def change_of(task_id: str) -> Change:
        if task_id in made:
            return Change(task_id, Outcome.RETRIED, made[task_id])
        return Change(task_id, Outcome.OPEN if task_id in there else Outcome.MISSING)

    return [change_of(task_id) for task_id in ids]
