"""What a worker writes while it holds a task: the claim, the start, how far it is; all of it guarded by the fence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taskqueue.message import Delivery
from taskqueue.status import HELD, UNFINISHED, Status
from taskqueue.tasklog.entry import Claim, Refusal
from taskqueue.tasklog.store import Change, EntryStore, Head


def claim(
    store: EntryStore, deliveries: Sequence[Delivery], *, worker: str, incarnation: str, due: int | None = None
) -> dict[str, Claim | Refusal]:
    """Claim the entry of each delivery for `worker`, or say why not (see `TaskLogBroker.claim`)."""
    ids = list(dict.fromkeys(delivery.id for delivery in deliveries))
    refused = {} if due is None else _wrong_hints(store, ids, due)
    taken = store.claim([i for i in ids if i not in refused], worker=worker, incarnation=incarnation)
    left = [i for i in ids if i not in taken and i not in refused]
    heads = store.heads(left) if left else {}
    return {i: claim_of(taken[i]) if i in taken else refused.get(i) or _refusal(heads.get(i)) for i in ids}


def _wrong_hints(store: EntryStore, ids: Sequence[str], due: int) -> dict[str, Refusal]:
    """What its message was wrong to bring now, and why."""
    heads = {i: head for i, head in store.heads(ids).items() if head.status is Status.ENQUEUED}
    may = [i for i in ids if i in heads]
    early = {i for i in may if (heads[i].due_at or 0) > due}
    grouped = [i for i in may if heads[i].group_name is not None and i not in early]
    behind = {i for i, first in store.turns(grouped, now=due).items() if first != i} if grouped else set()
    left = [i for i in may if i not in early | behind]
    alone = [i for i in left if heads[i].alone]
    one = alone[:1] if alone and left[0] == alone[0] else [i for i in left if i not in alone]
    crowded = set(left) - set(one) if alone else set()
    reasons = ((early, Refusal.EARLY), (behind, Refusal.BEHIND), (crowded, Refusal.CROWDED))
    return {i: why for refused, why in reasons for i in refused}


def claim_of(head: Head) -> Claim:
    """The claim that an entry's head is after it."""
    return Claim(
        head.id,
        head.fence,
        head.attempts,
        head.crashes,
        head.cancel_requested,
        head.has_children,
        head.unknown_since,
    )


def _refusal(head: Head | None) -> Refusal:
    if head is None:
        return Refusal.MISSING
    # Enqueued again by now: another message of it brings it.
    return Refusal.HELD if head.status in UNFINISHED else Refusal.ENDED


def start(store: EntryStore, task_id: str, *, fence: int, attempt: int, at: int) -> bool:
    """Dequeued -> running under this fence; True as well if this fence has started it already (R4)."""
    head = _held(store, task_id, fence)
    if head is None:
        return False
    if head.status is Status.DEQUEUED:
        store.change([Change(head, {"status": Status.RUNNING, "attempts": attempt, "started_at": at})])
    return True


def write(store: EntryStore, task_id: str, *, fence: int, values: dict[str, Any]) -> bool:
    """Write these columns if the fence holds the entry."""
    head = _held(store, task_id, fence)
    if head is None:
        return False
    store.change([Change(head, values)])
    return True


def _held(store: EntryStore, task_id: str, fence: int) -> Head | None:
    head = store.heads([task_id]).get(task_id)
    return head if head is not None and head.fence == fence and head.status in HELD else None
