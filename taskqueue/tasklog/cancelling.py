"""Cancel (P12) and archive. Only entries are touched: a claim throws a cancelled entry's message away (R12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taskqueue import codec
from taskqueue.report import Report
from taskqueue.status import HELD, Status
from taskqueue.tasklog.entry import Cancellation
from taskqueue.tasklog.parents import conclude
from taskqueue.tasklog.store import Change, EntryStore, Head

BEFORE_START = codec.encode_report(Report.error("Cancelled before it started."))
BY_FORCE = codec.encode_report(
    Report.error("Cancelled by force while a worker had it; what the run had done until then is not undone.")
)


def cancel(store: EntryStore, ids: Sequence[str], *, force: bool, now: int) -> dict[str, Cancellation]:
    """Cancel these and all open tasks below them; what was done to each of `ids` that exists."""
    asked = store.heads(sorted(set(ids)))
    still_open = [head for head in asked.values() if not head.status.ended]
    changes = [c for head in _with_descendants(store, still_open) if (c := _cancelled(head, force=force, now=now))]
    conclude(store, changes, now=now)
    ended = {change.head.id for change in changes if change.status.ended}
    return {i: _answer(head, ended) for i, head in asked.items()}


def archive(store: EntryStore, ids: Sequence[str]) -> set[str]:
    """Put away those that have ended; the ids that were. No parent changes: the ended child stays what it was."""
    heads = store.heads(sorted(set(ids))).values()
    done = [head for head in heads if head.status.ended and head.status is not Status.ARCHIVED]
    store.change([Change(head, {"status": Status.ARCHIVED, "archived_from": head.status}) for head in done])
    return {head.id for head in done}


def _with_descendants(store: EntryStore, heads: Sequence[Head]) -> list[Head]:
    """These, and level by level whatever below them may still be open."""
    found, level = {head.id: head for head in heads}, list(heads)
    while level:
        parents = [head.id for head in level if head.has_children]
        below = [i for i in store.lively_children(parents) if i not in found] if parents else []
        level = list(store.heads(below).values()) if below else []
        found.update((head.id, head) for head in level)
    return list(found.values())


def _cancelled(head: Head, *, force: bool, now: int) -> Change | None:
    if head.status is Status.ENQUEUED:
        # Its message may still have to reach the broker: nobody needs to push it now.
        return Change(head, _ended(head, now, BEFORE_START) | {"relayed_at": head.relayed_at or now})
    if head.status in HELD and force:
        return Change(head, _ended(head, now, BY_FORCE))
    if head.status.ended or head.cancel_requested:
        return None
    return Change(head, {"cancel_requested": True})


def _ended(head: Head, now: int, report: bytes) -> dict[str, Any]:
    # With the next fence, whatever a run of it may still write is refused.
    return {
        "status": Status.CANCELLED,
        "cancel_requested": True,
        "fence": head.fence + 1,
        "finished_at": now,
        "report": report,
    }


def _answer(head: Head, ended: set[str]) -> Cancellation:
    if head.id in ended:
        return Cancellation.CANCELLED
    return Cancellation.TOO_LATE if head.status.ended else Cancellation.REQUESTED
