"""An entry as people and programs read it."""

from __future__ import annotations

from typing import Any

import msgspec

from taskqueue import codec
from taskqueue.errors import MessageInvalid
from taskqueue.operations.times import rfc3339
from taskqueue.report import Report
from taskqueue.tasklog.entry import Attempt, Entry

_TIMES = ("created_at", "due_at", "started_at", "finished_at", "relayed_at", "unknown_since", "ended_at")
_LARGE = ("payload", "report", "progress")


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry without its payload: times in RFC 3339, its status by label, its report and progress as values."""
    facts = _plain(entry)
    was = entry.archived_from.label if entry.archived_from is not None else None
    facts |= {"status": entry.status.label, "state": entry.status.category, "archived_from": was}
    return facts | {"report": report_of(entry.report), "progress": progress_of(entry)}


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """An attempt, likewise."""
    return _plain(attempt) | {"report": report_of(attempt.report)}


def report_of(encoded: bytes | None) -> Report | None:
    """A stored report; one that cannot be read says so."""
    if encoded is None:
        return None
    try:
        return codec.decode_report(encoded)
    except MessageInvalid as error:
        return Report.error(str(error))


def progress_of(entry: Entry) -> dict[str, Any] | None:
    """What the run said last of how far it is: `done`, `total`, `message`."""
    if entry.progress is None:
        return None
    try:
        found = msgspec.json.decode(entry.progress)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def progress_text(entry: Entry) -> str:
    """The same in a few words: `30 of 100 (30 %), photos`."""
    found = progress_of(entry)
    if not found:
        return ""
    done, total, message = found.get("done"), found.get("total"), str(found.get("message") or "")
    if not isinstance(done, int | float):
        return message
    share = f" of {_number(total)} ({done / total:.0%})" if isinstance(total, int | float) and total else ""
    return ", ".join(filter(None, [f"{_number(done)}{share}", message]))


def gist(entry: Entry) -> str:
    """What there is to say about it in a list: how far it is, or the first line of how it ended."""
    if not entry.status.ended:
        return progress_text(entry)
    report = report_of(entry.report)
    return report.message.partition("\n")[0] if report else ""


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,.2f}"


def _plain(value: Entry | Attempt) -> dict[str, Any]:
    facts = {name: item for name, item in msgspec.structs.asdict(value).items() if name not in _LARGE}
    return facts | {name: rfc3339(facts[name]) for name in _TIMES if name in facts}
