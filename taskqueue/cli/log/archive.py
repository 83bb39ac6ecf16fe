"""`taskqueue log archive`."""

from __future__ import annotations

from typing import Any

import click

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.log.bulk import choice, choose
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_FAILED
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
    task_log = session.app.dispatcher.task_log
    statuses = [status for status in ENDED if status is not Status.ARCHIVED]
    chosen = choose(task_log, given, said, verb="Archive", statuses=statuses)
    with terminal.progress("archiving", chosen.total) as show:
        done = task_log.archive(chosen.search or chosen.ids, progress=show)
    if chosen.search is not None:
        terminal.line(f"{len(done):,} archived")
        return 0
    # What was archived before is archived now.
    done |= {task_id for task_id in chosen.ids if task_log.status(task_id) is Status.ARCHIVED}
    for task_id in chosen.ids:
        what = "archived" if task_id in done else f"not archived: it is {task_log.status(task_id).label}"
        terminal.line(f"{task_id} {what}")
    return EXIT_FAILED if set(chosen.ids) - done else 0
