"""`taskqueue log why`."""

from __future__ import annotations

import click

from taskqueue.cli import terminal
from taskqueue.cli.colours import status_cell
from taskqueue.cli.command import Command
from taskqueue.cli.find import find
from taskqueue.cli.session import Session
from taskqueue.operations.why import why_of


@click.command(
    "why",
    cls=Command,
    examples=(("taskqueue log why 8f3c2a", "by its id, or any part of it that is unique"),),
)
@click.argument("given", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(session: Session, *, given: str, as_json: bool) -> None:
    """Say why a task does not run, or why it ended as it did, and what to do."""
    app = session.app
    entry = app.dispatcher.task_log.get(find(app.dispatcher.task_log, given))
    sentences = why_of(app, entry)
    if as_json:
        terminal.json({"id": entry.id, "status": entry.status.label, "why": sentences})
        return
    status = status_cell(entry.status)
    terminal.line(f"{entry.name} {entry.id}: {status.text}", style=status.style)
    for sentence in sentences:
        terminal.line(sentence)
