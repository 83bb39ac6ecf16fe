"""Which tasks: the options by which `log` commands look for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from taskqueue.cli.find import find
from taskqueue.cli.parameters import Moment, StatusName
from taskqueue.ids import earliest
from taskqueue.status import Status
from taskqueue.tasklog.entry import Filter, Op
from taskqueue.tasklog.query import wildcard
from taskqueue.tasklog.reading import TaskLog

F = TypeVar("F", bound=Callable[..., Any])
_TEXTS = ("queue", "name", "owner", "label")


def filters(function: F) -> F:
    """Give a command the options; they arrive as `looked_for` takes them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


_OPTIONS = (
    click.option("--status", "statuses", type=StatusName(), multiple=True, help="With this status; may be repeated."),
    click.option("--failed", is_flag=True, help="The same as --status failed."),
    click.option("--queue", metavar="NAME", help="Of this queue. In texts, * stands for anything."),
    click.option("--name", metavar="TASK", help="Of this task, e.g. shop.tasks:mail or '*mail*'."),
    click.option("--owner", metavar="TEXT", help="Of this owner."),
    click.option("--label", metavar="TEXT", help="With this label."),
    click.option("--parent", metavar="ID", help="Children of this task."),
    click.option(
        "--since", metavar="TIME", type=Moment(), help="Made since then (2h: ago); children with their parent."
    ),
)


def looked_for(task_log: TaskLog, said: dict[str, Any]) -> tuple[Filter, ...]:
    """The conditions that were said."""
    found = [wildcard(column, said[column]) for column in _TEXTS if said[column] is not None]
    statuses = statuses_of(said)
    if statuses:
        found.append(Filter("status", Op.IN, statuses))
    if said["parent"] is not None:
        found.append(Filter("parent_id", Op.EQ, find(task_log, said["parent"])))
    if said["since"] is not None:
        # Ids begin with their time, and the log is ordered by them.
        found.append(Filter("id", Op.GE, earliest(said["since"])))
    return tuple(found)


def statuses_of(said: dict[str, Any]) -> list[Status]:
    """The statuses that were said."""
    return [*said["statuses"], *([Status.FAILED] if said["failed"] else [])]


def in_words(said: dict[str, Any]) -> str:
    """`failed, of queue 'mail'`; an empty text if nothing was said."""
    words = [" or ".join(dict.fromkeys(s.label for s in statuses_of(said)))]
    words += [f"{column} {said[column]!r}" for column in (*_TEXTS, "parent") if said[column] is not None]
    words += ["made since then"] if said["since"] is not None else []
    return ", ".join(filter(None, words))
