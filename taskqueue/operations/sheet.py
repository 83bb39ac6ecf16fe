"""All about one task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from taskqueue import codec
from taskqueue.app import App
from taskqueue.errors import ConfigurationError, MessageInvalid
from taskqueue.masking import MASK
from taskqueue.tasklog.entry import Attempt, Entry
from taskqueue.tasklog.reading import TaskLog

_LOOKS_SECRET = re.compile(r"passw|pwd|secret|token|api_?key|credential", re.IGNORECASE)


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a task. `parameters` are masked already; `note` says what to know about that."""

    entry: Entry
    parameters: dict[str, Any]
    note: str = ""
    attempts: Sequence[Attempt] = ()
    parent: Entry | None = None
    children: Sequence[Entry] = ()


def gather(app: App, task_id: str, *, task_log: TaskLog | None = None) -> Sheet:
    """What the stores know of a task, as `task_log` (perhaps one owner's view) may see it. Raises UnknownEntry."""
    log = task_log or app.dispatcher.task_log
    entry = log.get(task_id)
    note = _imported(app)
    return Sheet(
        entry=entry,
        parameters=parameters_of(app, entry),
        note=note,
        attempts=log.attempts(task_id),
        parent=_parent(log, entry),
        children=log.children(task_id) if entry.has_children else (),
    )


def parameters_of(app: App, entry: Entry) -> dict[str, Any]:
    """The task's parameters without its secrets (P19).

    Secret is what the task says is, and where its code is not here, what has a name like that.
    """
    definition = app.registry.get(entry.name) if entry.name in app.registry else None
    try:
        shown = codec.masked_parameters(entry.payload, definition)
    except MessageInvalid as error:
        return {"?": f"{error}"}
    if definition is not None:
        return shown
    return {name: MASK if _LOOKS_SECRET.search(name) else value for name, value in shown.items()}


def _imported(app: App) -> str:
    """Have the application's code say what is secret; what to know if it cannot."""
    try:
        app.import_modules()
    except ConfigurationError as error:
        return f"{error}; what that code calls secret is not known here"
    return ""


def _parent(log: TaskLog, entry: Entry) -> Entry | None:
    parent = log.broker.get(entry.parent_id) if entry.parent_id else None
    return parent if parent is not None and log.owner in (None, parent.owner) else None
