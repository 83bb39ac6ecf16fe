"""`taskqueue log show`."""

from __future__ import annotations

import re
from typing import Any

import click

from taskqueue import codec
from taskqueue.app import App
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.facts import attempt_json, entry_json
from taskqueue.cli.find import find
from taskqueue.cli.session import Session
from taskqueue.cli.sheet import Sheet, draw
from taskqueue.errors import ConfigurationError, MessageInvalid
from taskqueue.masking import MASK
from taskqueue.tasklog.entry import Entry

_LOOKS_SECRET = re.compile(r"passw|pwd|secret|token|api_?key|credential", re.IGNORECASE)


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
    if as_json:
        terminal.json(_plain(sheet))
    else:
        terminal.draw(draw(sheet))


def gather(app: App, task_id: str) -> Sheet:
    """What the stores know of a task."""
    task_log = app.dispatcher.task_log
    entry = task_log.get(task_id)
    return Sheet(
        entry=entry,
        parameters=parameters_of(app, entry),
        attempts=task_log.attempts(task_id),
        parent=task_log.broker.get(entry.parent_id) if entry.parent_id else None,
        children=task_log.children(task_id) if entry.has_children else (),
    )


def parameters_of(app: App, entry: Entry) -> dict[str, Any]:
    """The task's parameters without its secrets (P19).

    Secret is what the task says is, and where its code is not here, what has a name like that.
    """
    try:
        app.import_modules()
    except ConfigurationError as error:
        terminal.note(f"taskqueue: {error}; what that code calls secret is not known here")
    definition = app.registry.get(entry.name) if entry.name in app.registry else None
    try:
        shown = codec.masked_parameters(entry.payload, definition)
    except MessageInvalid as error:
        return {"?": f"{error}"}
    if definition is not None:
        return shown
    return {name: MASK if _LOOKS_SECRET.search(name) else value for name, value in shown.items()}


def _plain(sheet: Sheet) -> dict[str, Any]:
    return entry_json(sheet.entry) | {
        "parameters": sheet.parameters,
        "attempts_that_did_not_end_well": [attempt_json(one) for one in sheet.attempts],
        "parent": entry_json(sheet.parent) if sheet.parent else None,
        "children": [entry_json(child) for child in sheet.children],
    }
