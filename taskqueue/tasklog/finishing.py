"""What became of a run, written once.

A finish is accepted if and only if its fence is still the current one (P15). So it may also find the entry enqueued:
the lease ended during an outage, the message went back, and nobody has claimed it since. The run did happen, and its
report counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taskqueue.status import HELD, UNFINISHED, Status
from taskqueue.tasklog.entry import Outcome
from taskqueue.tasklog.parents import conclude
from taskqueue.tasklog.returning import returned
from taskqueue.tasklog.store import Change, EntryStore, Head


def finish(store: EntryStore, outcomes: Sequence[Outcome], *, now: int) -> set[str]:
    """Store what became of these runs and settle parents; the ids that were accepted (see `TaskLogBroker.finish`)."""
    heads = store.heads([outcome.id for outcome in outcomes])
    current = [o for o in outcomes if (head := heads.get(o.id)) is not None and head.fence == o.fence]
    store.note([o.attempt for o in current if o.attempt is not None])
    changes = [Change(heads[o.id], _values(heads[o.id], o, now)) for o in current if _is_news(heads[o.id], o)]
    conclude(store, changes, now=now)
    return {outcome.id for outcome in current}


def _is_news(head: Head, outcome: Outcome) -> bool:
    """Whether this fence has not finished the entry before: a repeated finish is accepted and changes nothing (R4)."""
    return head.status in (HELD if outcome.status is Status.ENQUEUED else UNFINISHED)


def _values(head: Head, outcome: Outcome, now: int) -> dict[str, Any]:
    counters = {
        "attempts": outcome.attempts,
        "crashes": max(head.crashes, outcome.crashes),
        "unknown_since": outcome.unknown_since,
    }
    if outcome.status is Status.ENQUEUED:
        due = now + int(outcome.delay * 1e6) if outcome.delay else None
        # It ended by its own word, so that it is no suspect any more.
        return returned(head, now, due_at=due) | counters | {"alone": False}
    waits = (
        outcome.status is Status.COMPLETED and head.has_children and not (head.master_status or outcome.master_status)
    )
    return counters | {
        "status": Status.CHILD_RUNNING if waits else outcome.status,
        "report": outcome.report,
        "started_at": outcome.started_at or head.started_at,
        "finished_at": None if waits else outcome.finished_at or now,
    }
