"""`taskqueue log purge`."""

from __future__ import annotations

from collections.abc import Mapping

import click

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.parameters import Duration, StatusName
from taskqueue.cli.session import Session
from taskqueue.operations.times import seconds
from taskqueue.status import ENDED, Status


@click.command(
    "purge",
    cls=Command,
    examples=(
        ("taskqueue log purge", "what the configuration's retention lets go"),
        ("taskqueue log purge --older-than 7d --status completed", "what completed more than a week ago"),
    ),
)
@click.option("--older-than", metavar="DURATION", type=Duration(), help="What ended longer ago, e.g. 7d.")
@click.option("--status", "statuses", type=StatusName(), multiple=True, help="Only this status; may be repeated.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@click.pass_obj
def command(session: Session, *, older_than: float | None, statuses: tuple[Status, ...], yes: bool) -> None:
    """Delete what ended long ago, whole ended trees only, in small transactions.

    Without --older-than it is what [task_log] retention says, which workers and keepers do by themselves. It may be
    interrupted.
    """
    _refuse_open(statuses)
    app = session.app
    kept = {s: keep for s, keep in app.settings.task_log.retention.items() if keep is not None}
    if older_than is not None:
        kept = dict.fromkeys(ENDED, older_than)
        terminal.confirm(f"Delete {_words(statuses)} that ended more than {seconds(older_than)} ago?", yes=yes)
    chosen = {status: keep for status, keep in kept.items() if not statuses or status in statuses}
    task_log = app.dispatcher.task_log
    with terminal.progress("purging", _most(task_log.stats(), chosen)) as show:
        deleted = task_log.purge(chosen, progress=show)
    terminal.line(f"{deleted:,} deleted")


def _refuse_open(statuses: tuple[Status, ...]) -> None:
    for status in statuses:
        if not status.ended:
            raise click.UsageError(
                f"a task that is {status.label} has not ended; cancel it first", click.get_current_context()
            )


def _words(statuses: tuple[Status, ...]) -> str:
    return f"tasks ({', '.join(status.label for status in statuses)})" if statuses else "all tasks"


def _most(stats: Mapping[str, Mapping[Status, int]], chosen: Mapping[Status, float]) -> int:
    return sum(n for by in stats.values() for status, n in by.items() if status in chosen)
