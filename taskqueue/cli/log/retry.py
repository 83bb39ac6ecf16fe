"""`taskqueue log retry`."""

from __future__ import annotations

from typing import Any

import click

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.log.bulk import carry_out, choice, choose
from taskqueue.cli.session import Session
from taskqueue.errors import InvalidTransition
from taskqueue.operations.tasks import Outcome
from taskqueue.status import Status


@click.command(
    "retry",
    cls=Command,
    examples=(
        ("taskqueue log retry 8f3c2a", "one, by any unique part of its id; prints the new one"),
        ("taskqueue log retry --failed --name 'shop.tasks:mail' --since 1d", "all these, after a question"),
    ),
)
@choice
@click.pass_obj
def command(session: Session, /, *, given: tuple[str, ...], **said: Any) -> None:
    """Enqueue ended tasks once more: the same parameters, owner and parent, under a new id that names the old one.

    Where no status is said, those that failed are meant. The exit code is 1 if a task that was given by its id has not
    ended; the others are repeated.
    """
    app = session.app
    task_log = app.dispatcher.task_log
    chosen = choose(task_log, given, said, verb="Retry", statuses=[Status.FAILED])
    told, counts = carry_out(app, chosen, "retry", words="enqueuing")
    for one in told:
        if one.made is not None:
            terminal.line(f"{one.id} is repeated as {one.made}")
    if not chosen.ids:
        terminal.line(f"{counts[Outcome.RETRIED]:,} enqueued once more")
    for one in told:
        if one.made is None:
            label = task_log.status(one.id).label
            raise InvalidTransition(f"task {one.id} is {label}; only an ended task can be repeated")
