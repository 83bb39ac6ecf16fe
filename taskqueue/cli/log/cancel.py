"""`taskqueue log cancel`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.log.bulk import choice, choose
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_FAILED
from taskqueue.status import OPEN
from taskqueue.tasklog.entry import Cancellation

WORDS = {
    Cancellation.CANCELLED: "cancelled",
    Cancellation.REQUESTED: "it runs: asked to stop",
    Cancellation.TOO_LATE: "too late: it had ended",
}


@click.command(
    "cancel",
    cls=Command,
    examples=(
        ("taskqueue log cancel 8f3c2a", "one, by any unique part of its id"),
        ("taskqueue log cancel --queue mail --status enqueued", "all that wait there, after a question"),
        ("taskqueue log cancel --all --yes", "everything that has not ended"),
    ),
)
@choice
@click.option("--force", is_flag=True, help="End running ones now; what they still write is refused.")
@click.pass_obj
def command(session: Session, /, *, given: tuple[str, ...], force: bool, **said: Any) -> int:
    """Cancel tasks and the open ones below them.

    What has not started never will. A task that runs is asked, and stops when it looks at `context.cancel_requested`.
    The exit code is 1 if it was too late for a task that was given by its id.
    """
    task_log = session.app.dispatcher.task_log
    chosen = choose(task_log, given, said, verb="Cancel", statuses=OPEN)
    with terminal.progress("cancelling", chosen.total) as show:
        done = task_log.cancel(chosen.search or chosen.ids, force=force, progress=show)
    if chosen.ids:
        for task_id in chosen.ids:
            terminal.line(f"{task_id} {WORDS[done[task_id]]}")
        return EXIT_FAILED if Cancellation.TOO_LATE in done.values() else 0
    counts = Counter(done.values())
    terminal.line(", ".join(f"{counts[what]:,} {words}" for what, words in WORDS.items() if counts[what]) or "no tasks")
    return 0
