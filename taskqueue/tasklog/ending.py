"""Runs that ended well and concern nobody else, written by one statement where a database can do it (PostgreSQL).

What has more to it is left to the rules (`taskqueue.tasklog.finishing`): a run that failed, one that has children or a
parent, one whose fence is not the current one or whose entry is not held any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from taskqueue.database.schema import Tables
from taskqueue.status import HELD, Status
from taskqueue.tasklog.entry import Outcome

#: what is written, each a list
_WRITTEN = ("attempts", "report", "started_at", "finished_at")


def is_plain(outcome: Outcome) -> bool:
    """Whether it may be written so, as far as the outcome itself tells."""
    alone = outcome.parent_id is None and not outcome.has_children
    return outcome.status is Status.COMPLETED and alone and outcome.attempt is None and outcome.unknown_since is None


def ending(tables: Tables) -> tuple[sa.CTE, sa.CTE]:
    """The entries that were held by these fences and are completed now, with their receipts, and their counts."""
    # Brings SQLAlchemy's dialect along, which takes time and memory.
    from taskqueue.database.postgresql_arrays import unnested

    e = tables.entry.c
    kinds = {"end_id": e.id.type, "end_fence": e.fence.type, "end_crashes": e.crashes.type}
    kinds |= {"end_receipt": tables.lease.c.id.type, **{f"end_{name}": e[name].type for name in _WRITTEN}}
    given = unnested("given", kinds)
    held = (
        sa.select(e.id, e.queue, e.status.label("was"), *given.c)
        .join(given, given.c.end_id == e.id)
        # Not the bare status, whose index would be read instead (see `Statements.claim_these`).
        .where(e.fence == given.c.end_fence, (e.status + 0).in_([int(status) for status in sorted(HELD)]))
        .where(e.has_children == 0, e.parent_id.is_(None))
        .order_by(e.id)
        .with_for_update(of=tables.entry)
        .cte("held")
    )
    values: dict[str, Any] = {name: held.c[f"end_{name}"] for name in _WRITTEN}
    values |= {"crashes": sa.func.greatest(e.crashes, held.c.end_crashes), "unknown_since": sa.null()}
    values |= {"started_at": sa.func.coalesce(values["started_at"], e.started_at), "status": int(Status.COMPLETED)}
    end = sa.update(tables.entry).where(e.id == held.c.id).values(values)
    ended = end.returning(e.id, held.c.queue, held.c.was, held.c.end_receipt.label("receipt")).cte("ended")
    return ended, _counts(tables, ended)


def _counts(tables: Tables, ended: sa.CTE) -> sa.CTE:
    was, now, number = sa.cast(ended.c.was, sa.String), sa.literal(str(int(Status.COMPLETED))), sa.func.count()
    before = sa.select(ended.c.queue, was, -number).group_by(ended.c.queue, ended.c.was)
    after = sa.select(ended.c.queue, now, number).group_by(ended.c.queue)
    steps = sa.union_all(before, after)
    return sa.insert(tables.tally).from_select(["queue", "what", "delta"], steps).cte("ends")


def values_of(outcomes: Sequence[Outcome], receipts: Sequence[int], *, now: int) -> dict[str, Any]:
    """The parameters."""
    return {
        "end_id": [o.id for o in outcomes],
        "end_fence": [o.fence for o in outcomes],
        "end_crashes": [o.crashes for o in outcomes],
        "end_receipt": receipts,
        "end_attempts": [o.attempts for o in outcomes],
        "end_report": [o.report for o in outcomes],
        "end_started_at": [o.started_at for o in outcomes],
        "end_finished_at": [o.finished_at or now for o in outcomes],
    }
