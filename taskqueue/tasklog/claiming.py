"""What a worker writes while it holds a task: the claim, the start, how far it is; all of it guarded by the fence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taskqueue.message import Delivery
from taskqueue.status import HELD, Status
from taskqueue.tasklog.entry import Claim, Refusal
from taskqueue.tasklog.store import Change, EntryStore, Head


def claim(
    store: EntryStore, deliveries: Sequence[Delivery], *, worker: str, incarnation: str, due: int | None = None
) -> dict[str, Claim | Refusal]:
    """Claim the entry of each delivery for `worker`, or say why not (see `TaskLogBroker.claim`)."""
    ids = list(dict.fromkeys(delivery.id for delivery in deliveries))
    heads = store.heads(ids)
    answers = {i: _answer(heads.get(i)) for i in ids}
    if due is not None:
        _refuse_hints(store, heads, answers, due)
    store.claim([heads[i] for i in ids if type(answers[i]) is Claim], worker=worker, incarnation=incarnation)
    return answers


def _refuse_hints(store: EntryStore, heads: dict[str, Head], answers: dict[str, Claim | Refusal], due: int) -> None:
    """What its message was wrong to bring now."""
    may = [i for i, answer in answers.items() if type(answer) is Claim]
    early = {i for i in may if (heads[i].due_at or 0) > due}
    grouped = [i for i in may if heads[i].group_name is not None and i not in early]
    behind = {i for i, first in store.turns(grouped, now=due).items() if first != i} if grouped else set()
    left = [i for i in may if i not in early | behind]
    alone = [i for i in left if heads[i].alone]
    one = alone[:1] if alone and left[0] == alone[0] else [i for i in left if i not in alone]
    crowded = set(left) - set(one) if alone else set()
    for refused, why in ((early, Refusal.EARLY), (behind, Refusal.BEHIND), (crowded, Refusal.CROWDED)):
        answers.update(dict.fromkeys(refused, why))


def _answer(head: Head | None) -> Claim | Refusal:
    if head is None:
        return Refusal.MISSING
    if head.status is not Status.ENQUEUED:
        return Refusal.HELD if head.status in HELD else Refusal.ENDED
    return Claim(
        head.id,
        head.fence + 1,
        head.attempts,
        head.crashes,
        head.cancel_requested,
        head.has_children,
        head.unknown_since,
    )


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
