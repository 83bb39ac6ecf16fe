"""All about one task, as its page shows it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from taskqueue.app import App
from taskqueue.operations import sheet as sheets
from taskqueue.operations.facts import progress_of, progress_text, report_of
from taskqueue.operations.times import ago, between, local
from taskqueue.operations.why import why_of
from taskqueue.status import HELD, Status
from taskqueue.tasklog.entry import Entry
from taskqueue.tasklog.reading import TaskLog
from taskqueue.web.pages.timeline import Spans, Step, spans_of, steps_of
from taskqueue.web.pages.trees import Family, Node, family_of, report_tree, value_text


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A line of facts; `path` and `query` lead to more of the kind."""

    name: str
    text: str
    path: str = ""
    query: dict[str, Any] = {}


class Progress(msgspec.Struct, frozen=True):
    """How far a run is: percent, if it said of how many, and words."""

    share: float | None
    text: str


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    entry: Entry
    title: str
    status: str
    ended: bool
    can_cancel: bool
    can_force: bool
    can_archive: bool
    cancel_text: str
    why: list[str]
    progress: Progress | None
    report: Node | None
    steps: list[Step]
    spans: Spans | None
    family: Family | None
    facts: list[Fact]
    parameters: list[tuple[str, str]]
    note: str


def sheet_of(app: App, log: TaskLog, task_id: str) -> Sheet:
    """The task, as that log may see it. Raises UnknownEntry, BrokerUnavailable."""
    found = sheets.gather(app, task_id, task_log=log)
    entry, report = found.entry, report_of(found.entry.report)
    status = entry.status
    below = f" and {len(found.children):,} children" if found.children else ""
    return Sheet(
        entry=entry,
        title=f"{entry.name}: {status.label.replace('_', ' ')}",
        status=status.label,
        ended=status.ended,
        can_cancel=not status.ended and not entry.cancel_requested,
        can_force=status in HELD and entry.cancel_requested,
        can_archive=status.ended and status is not Status.ARCHIVED,
        cancel_text=_cancel_text(status, below),
        why=why_of(app, entry, task_log=log),
        progress=_progress(entry),
        report=report_tree(report) if report else None,
        steps=steps_of(entry, found.attempts),
        spans=spans_of(entry, found.attempts, app.clock.micros()),
        family=family_of(entry, found.parent, found.children),
        facts=[fact for fact in _facts(entry) if fact.text],
        parameters=[(name, value_text(value)) for name, value in found.parameters.items()],
        note=found.note,
    )


def seen_of(entry: Entry) -> str:
    """Changes whenever the page of that entry has something new to show."""
    told = (entry.status.label, entry.fence, entry.attempts, entry.crashes, entry.cancel_requested, entry.progress)
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()


def _cancel_text(status: Status, below: str) -> str:
    if status in HELD:
        return f"It runs: it is asked to stop, and ends when its code looks at that. 1 task{below}."
    return f"It will not run. 1 task{below}."


def _progress(entry: Entry) -> Progress | None:
    if entry.status.ended or not (said := progress_of(entry)):
        return None
    done, total = said.get("done"), said.get("total")
    if not isinstance(done, int | float) or not isinstance(total, int | float) or total <= 0:
        return Progress(None, progress_text(entry))
    return Progress(min(100.0, max(0.0, 100 * done / total)), progress_text(entry))


def _facts(entry: Entry) -> Iterator[Fact]:
    yield Fact(name="queue", text=entry.queue, path="/tasks", query={"queue": entry.queue})
    yield Fact(name="priority", text=f"{entry.priority}")
    yield Fact(name="owner", text=entry.owner or "", path="/tasks", query={"owner": entry.owner})
    yield Fact(name="label", text=entry.label or "", path="/tasks", query={"label": entry.label})
    yield Fact(name="category", text=entry.category or "")
    yield Fact(name="enqueued", text=f"{local(entry.created_at)}, {ago(entry.created_at)}")
    yield Fact(name="not before", text=local(entry.due_at))
    yield Fact(name="started", text=local(entry.started_at))
    yield Fact(name="ended", text=local(entry.finished_at))
    yield Fact(name="took", text=between(entry.started_at, entry.finished_at))
    yield Fact(name="worker", text=entry.worker or "")
    crashes = f", {entry.crashes} of them died with their worker" if entry.crashes else ""
    yield Fact(name="attempts", text=f"{entry.attempts}{crashes}" if entry.attempts else "")
    yield Fact(name="group", text=entry.group_name or "")
    yield Fact(name="key", text=entry.unique_key or "")
    yield Fact(name="repeats", text=entry.retry_of or "", path=f"/tasks/{entry.retry_of}")
    if entry.has_children:
        yield Fact(name="children", text="in the list", path="/tasks", query={"parent": entry.id})
