"""What goes back to its queue: released by its worker, or recovered from a worker that is no more (P3, P4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from taskqueue import codec
from taskqueue.message import Lost
from taskqueue.report import Report
from taskqueue.status import HELD, Status
from taskqueue.tasklog.entry import Attempt, Cause
from taskqueue.tasklog.parents import conclude
from taskqueue.tasklog.store import Change, EntryStore, Head

MAX_CRASHES = 3
CANCELLED_ON_RETURN = codec.encode_report(
    Report.error("Cancelled: it came back from its worker and does not run again.")
)


def returned(head: Head, now: int, *, due_at: int | None = None) -> dict[str, Any]:
    """What an entry that goes back becomes: enqueued, or cancelled if that was asked for (P12: it never starts)."""
    values = {"worker": None, "started_at": None, "progress": None}
    if head.cancel_requested:
        return values | {"status": Status.CANCELLED, "finished_at": now, "report": CANCELLED_ON_RETURN}
    return values | {"status": Status.ENQUEUED, "due_at": due_at}


def release(store: EntryStore, claims: Mapping[str, int], *, cause: Cause | None, detail: str, now: int) -> set[str]:
    """Give back what these fences hold; the ids that went back, now or by the same fence before (R4)."""
    heads = {i: head for i, head in store.heads(claims).items() if head.fence == claims[i]}
    held = [head for head in heads.values() if head.status in HELD]
    if cause is not None:
        store.note([_attempt(h, cause, detail, now) for h in held if h.status is Status.RUNNING])
    conclude(store, [Change(h, returned(h, now) | {"attempts": _run_of(h) - 1}) for h in held], now=now)
    return {h.id for h in heads.values() if h.status in HELD or h.status is Status.ENQUEUED}


def _run_of(head: Head) -> int:
    """The number of the run that holds this entry; its start may not have been written yet."""
    return head.attempts + (head.status is Status.DEQUEUED)


class Death(msgspec.Struct, frozen=True):
    """How a lost entry's worker ended, as far as it concerns the entry."""

    cause: Cause
    detail: str
    #: the entry was running, so an attempt is over
    interrupted: bool
    #: this death counts against the entry (R5)
    counts: bool
    #: what it logged last
    log: str | None = None


def lost(
    store: EntryStore,
    recovered: Sequence[Lost],
    *,
    max_crashes: Mapping[str, int],
    now: int,
) -> list[Lost]:
    """Take back what the broker recovered; those whose message must go (see `TaskLogBroker.lost`)."""
    heads = {i: head for i, head in store.heads(one.id for one in recovered).items() if head.status in HELD}
    recovered = [one for one in recovered if one.id in heads and heads[one.id].incarnation == one.owner]
    deaths = {one.id: _death(heads[one.id], one) for one in recovered}
    changes = [_after(heads[i], death, max_crashes, now) for i, death in deaths.items()]
    store.change([Change(heads[one.id], {"alone": True}) for one in recovered if one.alone])
    store.note(list(_interrupted(changes, deaths, now)))
    conclude(store, changes, now=now)
    gone = {change.head.id for change in changes if change.status.ended}
    return [one for one in recovered if one.id in gone]


def _death(head: Head, one: Lost) -> Death:
    if one.cause is not None:
        return Death(Cause.CRASH, one.cause, interrupted=True, counts=True, log=one.log)
    if one.only_one:
        # Its start may not have been written: a task that ends its worker at once would be run for ever.
        return Death(Cause.HOST_LOST, "its lease ended without a word from its worker", interrupted=True, counts=True)
    return Death(Cause.LEASE_LOST, "its lease ended", interrupted=head.status is Status.RUNNING, counts=False)


def _after(head: Head, death: Death, max_crashes: Mapping[str, int], now: int) -> Change:
    crashes = head.crashes + death.counts
    # A run that ended by no fault of the task is no attempt, or it would use up one of its retries.
    attempts = _run_of(head) - (not death.counts)
    counters = {"crashes": crashes, "attempts": attempts}
    if death.counts and crashes > max_crashes.get(head.queue, MAX_CRASHES):
        report = codec.encode_report(_crash_report(death, crashes=crashes, attempts=attempts))
        # A late report of the run that is given up here must not bring the entry back to life: hence the next fence.
        failed = {"status": Status.FAILED, "finished_at": now, "fence": head.fence + 1, "report": report}
        return Change(head, counters | failed)
    return Change(head, returned(head, now) | counters)


def _crash_report(death: Death, *, crashes: int, attempts: int) -> Report:
    cause = death.detail.partition("\n")[0]  # what follows are stacks
    return Report.error(
        f"Its worker died under it {crashes:,} times, so it is not run again. Attempt {attempts}: {cause}.",
        {"cause": death.cause.value, "detail": death.detail, "attempt": attempts, "crashes": crashes},
    )


def _interrupted(changes: Sequence[Change], deaths: Mapping[str, Death], now: int) -> Iterable[Attempt]:
    for change in changes:
        death = deaths[change.head.id]
        if death.interrupted:
            yield _attempt(change.head, death.cause, death.detail, now, log=death.log)


def _attempt(head: Head, cause: Cause, detail: str, now: int, *, log: str | None = None) -> Attempt:
    return Attempt(
        task_id=head.id,
        fence=head.fence,
        attempt=_run_of(head),
        cause=cause,
        detail=detail,
        worker=head.worker,
        started_at=head.started_at,
        ended_at=now,
        log=log,
    )
