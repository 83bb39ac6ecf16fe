"""`taskqueue log retry`."""

from __future__ import annotations

from typing import Any

import click

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.log.bulk import choice, choose, matching
from taskqueue.cli.session import Session
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

    Where no status is said, those that failed are meant.
    """
    dispatcher = session.app.dispatcher
    chosen = choose(dispatcher.task_log, given, said, verb="Retry", statuses=[Status.FAILED])
    ids = matching(dispatcher.task_log, chosen)
    with terminal.progress("enqueuing", len(ids)) as show:
        for done, task_id in enumerate(ids, start=1):
            handle = dispatcher.retry(task_id)
            if chosen.ids:
                terminal.line(f"{task_id} is repeated as {handle.id}")
            show(done)
    if not chosen.ids:
        terminal.line(f"{len(ids):,} enqueued once more")
