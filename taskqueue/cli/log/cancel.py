"""`taskqueue log cancel`."""

from __future__ import annotations

from typing import Any

import click

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.log.bulk import carry_out, choice, choose
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_FAILED
from taskqueue.operations.tasks import Outcome
from taskqueue.status import OPEN

WORDS = {
    Outcome.CANCELLED: "cancelled",
    Outcome.REQUESTED: "it runs: asked to stop",
    Outcome.TOO_LATE: "too late: it had ended",
    Outcome.MISSING: "gone: it was purged meanwhile",
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
    app = session.app
    chosen = choose(app.dispatcher.task_log, given, said, verb="Cancel", statuses=OPEN)
    told, counts = carry_out(app, chosen, "cancel", words="cancelling", force=force)
    if chosen.ids:
        for one in told:
            terminal.line(f"{one.id} {WORDS[one.outcome]}")
        return EXIT_FAILED if counts[Outcome.TOO_LATE] or counts[Outcome.MISSING] else 0
    terminal.line(", ".join(f"{counts[what]:,} {words}" for what, words in WORDS.items() if counts[what]) or "no tasks")
    return 0
