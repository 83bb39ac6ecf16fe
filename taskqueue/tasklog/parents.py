"""Children count (P11, R11).

A parent whose own run is over is `child_running` until no child is open. Then it fails if a child failed or was
cancelled, else it completes. Its report stays its own; a failure that comes from below is added to it as a child.
An archived child counts as what it was before.

`settle` decides from what the children are, not from what happened to them: it may run at any time, again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from taskqueue import codec
from taskqueue.errors import EncodingError, MessageInvalid
from taskqueue.report import Report
from taskqueue.status import Status
from taskqueue.tasklog.store import Change, EntryStore, Head

NAMED = 5


def conclude(store: EntryStore, changes: Sequence[Change], *, now: int) -> None:
    """Write these changes, then settle every parent that they concern."""
    if not changes:
        return
    store.change(changes)
    touched = {c.head.parent_id for c in changes if c.head.parent_id is not None and c.status.ended}
    waiting = {c.head.id for c in changes if c.status is Status.CHILD_RUNNING}
    settle(store, touched | waiting, now=now)


def settle(store: EntryStore, parents: Iterable[str], *, now: int) -> None:
    """Decide those of `parents` that wait for children, then their own parents in turn."""
    level = set(parents)
    while level:
        waiting = [h for h in store.heads(sorted(level)).values() if h.status is Status.CHILD_RUNNING]
        # Asked after the lock and in a statement of its own: only so does it see what others committed meanwhile.
        still_open = store.with_open_children([head.id for head in waiting]) if waiting else set()
        changes = [_verdict(store, head, now) for head in waiting if head.id not in still_open]
        store.change(changes)
        level = {c.head.parent_id for c in changes if c.head.parent_id is not None}


def _verdict(store: EntryStore, parent: Head, now: int) -> Change:
    counts = store.child_counts(parent.id)
    failed, cancelled = counts.get(Status.FAILED, 0), counts.get(Status.CANCELLED, 0)
    if not failed and not cancelled:
        return Change(parent, {"status": Status.COMPLETED, "finished_at": now})
    named = store.child_ids(parent.id, (Status.FAILED, Status.CANCELLED), NAMED)
    below = _failure(failed, cancelled, sum(counts.values()), named)
    return Change(parent, {"status": Status.FAILED, "finished_at": now, "report": _with_child(store, parent, below)})


def _failure(failed: int, cancelled: int, total: int, named: Sequence[str]) -> Report:
    parts = [f"{n:,} of {total:,} children {what}" for n, what in ((failed, "failed"), (cancelled, "cancelled")) if n]
    more = ", ..." if failed + cancelled > len(named) else ""
    return Report.error(
        f"{' and '.join(parts)}: {', '.join(named)}{more}",
        {"failed": failed, "cancelled": cancelled, "total": total, "ids": list(named)},
    )


def _with_child(store: EntryStore, parent: Head, below: Report) -> bytes:
    entry = store.entry(parent.id)
    own = _readable(entry.report) if entry is not None else None
    try:
        return codec.encode_report(own.with_children(below) if own is not None else below)
    except EncodingError:  # read, but not to be written: as little ours as what cannot be read
        return codec.encode_report(below)


def _readable(encoded: bytes | None) -> Report | None:
    """A stored report; none if nobody can read it, which must not hold up for ever what others wrote in this turn."""
    try:
        return codec.decode_report(encoded) if encoded is not None else None
    except MessageInvalid:
        return None
