"""`taskqueue log show`."""

from __future__ import annotations

from typing import Any

import click

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.find import find
from taskqueue.cli.session import Session
from taskqueue.cli.sheet import draw
from taskqueue.operations.facts import attempt_json, entry_json
from taskqueue.operations.sheet import Sheet, gather


@click.command(
    "show",
    cls=Command,
    examples=(
        ("taskqueue log show 0199d2c3-7f8e-7a10-b1f0-6f2f3c8f3c2a", "by its id"),
        ("taskqueue log show 8f3c2a", "or any part of it that is unique"),
        ("taskqueue log show 8f3c2a --json", "for programs"),
    ),
)
@click.argument("given", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(session: Session, *, given: str, as_json: bool) -> None:
    """Show all about one task: report, parameters, attempts, parent, children.

    ID is an id, or at least six characters of it that only one of the newest 10,000 tasks has. Secrets are masked.
    """
    sheet = gather(session.app, find(session.app.dispatcher.task_log, given))
    if sheet.note:
        terminal.note(f"taskqueue: {sheet.note}")
    if as_json:
        terminal.json(_plain(sheet))
    else:
        terminal.draw(draw(sheet))


def _plain(sheet: Sheet) -> dict[str, Any]:
    return entry_json(sheet.entry) | {
        "parameters": sheet.parameters,
        "attempts_that_did_not_end_well": [attempt_json(one) for one in sheet.attempts],
        "parent": entry_json(sheet.parent) if sheet.parent else None,
        "children": [entry_json(child) for child in sheet.children],
    }
