"""`taskqueue log archive`."""

from __future__ import annotations

from typing import Any

import click

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.log.bulk import carry_out, choice, choose
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_FAILED
from taskqueue.operations.tasks import Outcome
from taskqueue.status import ENDED, Status


@click.command(
    "archive",
    cls=Command,
    examples=(
        ("taskqueue log archive 8f3c2a", "one, by any unique part of its id"),
        ("taskqueue log archive --failed --queue mail", "all that failed there, after a question"),
    ),
)
@choice
@click.pass_obj
def command(session: Session, /, *, given: tuple[str, ...], **said: Any) -> int:
    """Put ended tasks away, so that lists by status show them no more. They stay until they are purged.

    The exit code is 1 if a task that was given by its id has not ended.
    """
    app = session.app
    task_log = app.dispatcher.task_log
    statuses = [status for status in ENDED if status is not Status.ARCHIVED]
    chosen = choose(task_log, given, said, verb="Archive", statuses=statuses)
    told, counts = carry_out(app, chosen, "archive", words="archiving")
    if chosen.search is not None:
        terminal.line(f"{counts[Outcome.ARCHIVED]:,} archived")
        return 0
    for one in told:
        done = one.outcome is Outcome.ARCHIVED
        terminal.line(f"{one.id} {'archived' if done else f'not archived: it is {task_log.status(one.id).label}'}")
    return EXIT_FAILED if counts.total() > counts[Outcome.ARCHIVED] else 0
