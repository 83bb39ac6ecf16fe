"""`taskqueue log stats`."""

from __future__ import annotations

import click

from taskqueue.cli import terminal
from taskqueue.cli.colours import STYLES
from taskqueue.cli.command import Command
from taskqueue.cli.session import Session
from taskqueue.cli.terminal import Cell, Styled
from taskqueue.status import Status


@click.command(
    "stats",
    cls=Command,
    examples=(("taskqueue log stats", "all"), ("taskqueue log stats --owner ann --json", "one owner's, for programs")),
)
@click.option("--owner", metavar="TEXT", help="Count this owner's only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(session: Session, *, owner: str | None, as_json: bool) -> None:
    """Count tasks by queue and status. Nothing is scanned, unless it is for one owner."""
    task_log = session.app.dispatcher.task_log
    counts = (task_log if owner is None else task_log.for_owner(owner)).stats()
    if as_json:
        terminal.json({queue: {s.label: by.get(s, 0) for s in Status} for queue, by in sorted(counts.items())})
        return
    titles = [status.label for status in Status]
    rows = [[queue, *(_count(status, by.get(status, 0)) for status in Status)] for queue, by in sorted(counts.items())]
    terminal.table(["Queue", *titles], rows, right=titles)


def _count(status: Status, n: int) -> Cell:
    if not terminal.at_terminal():
        return str(n)
    return Styled(f"{n:,}", STYLES[status]) if n else ""
