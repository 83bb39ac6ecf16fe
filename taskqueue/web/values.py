"""What the API says of tasks: plain values, which OpenAPI describes as they stand here.

Times are RFC 3339 in UTC, durations seconds. A user sees what an operator sees, of fewer tasks.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from taskqueue.app import App
from taskqueue.operations import facts
from taskqueue.operations.sheet import parameters_of
from taskqueue.operations.times import rfc3339
from taskqueue.report import Report
from taskqueue.tasklog import entry as stored
from taskqueue.tasklog.entry import Entry

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
#: as `Status.label` has them
Label = Literal["enqueued", "dequeued", "running", "child_running", "completed", "failed", "cancelled", "archived"]
#: as `Status.category` has them
State = Literal["created", "in_progress", "completed", "failed", "cancelled", "archived"]


class TaskLine(msgspec.Struct, frozen=True, kw_only=True):
    """A task as a list shows it. `gist` is how far it is, or the first line of how it ended."""

    id: str
    name: str
    queue: str
    status: Label
    state: State
    archived_from: Label | None
    priority: int
    label: str | None
    owner: str | None
    category: str | None
    group: str | None
    parent_id: str | None
    has_children: bool
    retry_of: str | None
    attempts: int
    crashes: int
    worker: str | None
    cancel_requested: bool
    created_at: Time | None
    due_at: Time | None
    started_at: Time | None
    finished_at: Time | None
    gist: str


class Progress(msgspec.Struct, frozen=True):
    """What a running task said last of how far it is."""

    done: Any = None
    total: Any = None
    message: Any = None


class Task(TaskLine, frozen=True, kw_only=True):
    """All about one task but its attempts and children. Parameters that are secret are masked."""

    parameters: dict[str, Any]
    progress: Progress | None
    report: Report | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that did not end well, and why."""

    attempt: int
    cause: stored.Cause
    detail: str
    worker: str | None
    started_at: Time | None
    ended_at: Time | None
    report: Report | None
    #: the last lines that it logged
    log: str | None


def line_of(entry: Entry) -> TaskLine:
    """The entry as a list shows it."""
    return TaskLine(**_line(entry))


def task_of(app: App, entry: Entry) -> Task:
    """The entry in full."""
    said = facts.progress_of(entry) or {}
    return Task(
        **_line(entry),
        parameters=parameters_of(app, entry),
        progress=Progress(said.get("done"), said.get("total"), said.get("message")) if said else None,
        report=facts.report_of(entry.report),
    )


def attempt_of(attempt: stored.Attempt) -> Attempt:
    """The attempt."""
    return Attempt(
        attempt=attempt.attempt,
        cause=attempt.cause,
        detail=attempt.detail,
        worker=attempt.worker,
        started_at=rfc3339(attempt.started_at),
        ended_at=rfc3339(attempt.ended_at),
        report=facts.report_of(attempt.report),
        log=attempt.log,
    )


def _line(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "queue": entry.queue,
        "status": entry.status.label,
        "state": entry.status.category,
        "archived_from": entry.archived_from.label if entry.archived_from is not None else None,
        "priority": entry.priority,
        "label": entry.label,
        "owner": entry.owner,
        "category": entry.category,
        "group": entry.group_name,
        "parent_id": entry.parent_id,
        "has_children": entry.has_children,
        "retry_of": entry.retry_of,
        "attempts": entry.attempts,
        "crashes": entry.crashes,
        "worker": entry.worker,
        "cancel_requested": entry.cancel_requested,
        "created_at": rfc3339(entry.created_at),
        "due_at": rfc3339(entry.due_at),
        "started_at": rfc3339(entry.started_at),
        "finished_at": rfc3339(entry.finished_at),
        "gist": facts.gist(entry),
    }
