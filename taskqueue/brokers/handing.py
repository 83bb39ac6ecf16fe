"""Messages popped and their tasks claimed by one statement, acknowledged and their tasks ended by another one.

For databases in which a statement may write to several tables (PostgreSQL).
An idle worker that is woken begins after one journey to the server instead of ten, and a look that finds nothing locks
nothing. What has more to it is left to the common way: delayed messages that are due, one that must be leased alone, a
worker that was declared dead, a scan that goes on where the last one ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam

from taskqueue.brokers.mark import Mark
from taskqueue.brokers.moves import delivery_of
from taskqueue.brokers.statements import from_mark
from taskqueue.database.engine import Database
from taskqueue.message import Delivery

#: the columns of a message that was taken, and the place of the first of them in an answer
_TAKEN = ("lane", "id", "task_id", "alone", "body")
_FIRST = 3


class Claiming(Protocol):
    """A task log that can be part of such a statement."""

    def claiming(self, ids: sa.ScalarSelect[Any]) -> tuple[sa.CTE, sa.CTE]:
        """Claim those of these tasks that are enqueued, by the parameters `by` and `life`.

        What the log says of them, their id first, and their counts.
        """


class Ending(Protocol):
    """A task log that can be part of such a statement."""

    def ending(self) -> tuple[sa.CTE, sa.CTE]:
        """End tasks: those that were ended, with the `receipt` of each, and their counts."""


class Handed(msgspec.Struct, frozen=True):
    """What was leased, and of each what the task log said, if its task was claimed.

    `due_in`: seconds until the next delayed message is due, None if there is none.
    """

    deliveries: list[Delivery]
    claimed: list[Sequence[Any] | None]
    due_in: float | None

    def with_(self, more: Handed) -> Handed:
        """Both of them, the later look's word last."""
        return Handed(self.deliveries + more.deliveries, self.claimed + more.claimed, more.due_in)


class Handing:
    """Hands over the messages of one queue."""

    def __init__(self, database: Database, queue: str, mark: Mark) -> None:
        self._database, self._queue, self._mark = database, queue, mark
        #: the statement that scans from the start, and the one that goes on from the mark
        self._statements: dict[bool, sa.Select[Any]] = {}
        self._ends: sa.Select[Any] | None = None

    def over(self, log: Claiming, *, owner: str, worker: str, limit: int, lease: float) -> Handed | None:
        """Lease up to `limit` messages to `owner` for `lease` seconds and claim their tasks for `worker`.

        None where the common way has to be gone; then nothing was taken.
        """
        if self._database.in_transaction:
            return None
        given = {
            "of": self._queue,
            "limit": limit,
            "holder": owner,
            "lease": int(lease * 1e6),
            "by": worker,
            "life": owner,
        }
        if (place := self._mark.place) is None:
            return self._from_the_start(log, given, limit)
        handed = self._handed(self._ask(log, given | {"lane": place[0], "mark": place[1]}, on=True), limit)
        if handed is None or (missing := limit - len(handed.deliveries)) == 0:
            return handed
        more = self._from_the_start(log, given | {"limit": missing}, missing)
        if more is None:
            return handed if handed.deliveries else None
        return handed.with_(more)

    def _from_the_start(self, log: Claiming, given: Mapping[str, Any], limit: int) -> Handed | None:
        with self._mark.sweep():
            return self._handed(self._ask(log, given, on=False), limit)

    def back(self, log: Ending, values: Mapping[str, Any], *, owner: str) -> set[str]:
        """End tasks and acknowledge their messages, which are `owner`'s; which were ended."""
        if self._ends is None:
            self._ends = self._made_to_end(log)
        statement, given = self._ends, {**values, "of": self._queue, "holder": owner}
        return {i for (i,) in self._database.turn(lambda: self._database.rows(statement, given))}

    def _made_to_end(self, log: Ending) -> sa.Select[Any]:
        lease = self._database.tables.lease
        ended, ends = log.ending()
        receipts = sa.func.array(sa.select(ended.c.receipt).scalar_subquery())
        ours = lease.c.id == sa.any_(receipts), lease.c.owner == bindparam("holder")
        acked = sa.delete(lease).where(*ours).returning(lease.c.id).cte("acked")
        return sa.select(ended.c.id).add_cte(ends, self._counted(acked, leased=-1))

    def _ask(self, log: Claiming, given: Mapping[str, Any], *, on: bool) -> Sequence[Sequence[Any]]:
        if on not in self._statements:
            self._statements[on] = self._made(log, on=on)  # a queue has one task log
        statement = self._statements[on]
        return self._database.turn(lambda: self._database.rows(statement, given))

    def _handed(self, rows: Sequence[Sequence[Any]], limit: int) -> Handed | None:
        now, due, found, *_ = rows[0]
        taken = sorted((row for row in rows if row[_FIRST] is not None), key=itemgetter(_FIRST, _FIRST + 1))
        if len(taken) < found or (due is not None and due <= now):
            return None
        self._mark.moved(taken[-1][_FIRST : _FIRST + 2] if len(taken) == limit else None)
        return Handed(
            [delivery_of(row[_FIRST : _FIRST + len(_TAKEN)]) for row in taken],
            [row[_FIRST + len(_TAKEN) :] if row[_FIRST + len(_TAKEN)] is not None else None for row in taken],
            None if due is None else (due - now) / 1e6,
        )

    def _made(self, log: Claiming, *, on: bool) -> sa.Select[Any]:
        state, found = self._scan(on=on)
        taken = self._take(found)
        claimed, claims = log.claiming(sa.select(taken.c.task_id).scalar_subquery())
        seen = sa.select(sa.func.count()).select_from(found).scalar_subquery()
        each = state.outerjoin(taken, sa.true()).outerjoin(claimed, claimed.c.id == taken.c.task_id)
        answer = sa.select(state.c.now, state.c.due, seen, *(taken.c[name] for name in _TAKEN), *claimed.c)
        return answer.select_from(each).add_cte(
            self._lease(taken, state), self._counted(taken, waiting=-1, leased=1), claims
        )

    def _scan(self, *, on: bool) -> tuple[sa.CTE, sa.CTE]:
        """What the clock says and when the next delayed message is due; the first messages, if none of those is."""
        tables, queue, now = self._database.tables, self._of_queue, self._database.dialect.now
        assert now is not None
        m, d = tables.message.c, tables.delayed.c
        next_due = sa.select(sa.func.min(d.due)).where(d.queue == queue).scalar_subquery()
        state = sa.select(now.label("now"), next_due.label("due")).cte("state")
        overdue = sa.select(sa.literal(1)).select_from(state).where(state.c.due <= state.c.now).exists()
        first = sa.select(*(m[name] for name in _TAKEN), self._place.label("place")).where(m.queue == queue, ~overdue)
        if on:
            first = first.where(*from_mark(tables.message, queue))
        in_order = first.order_by(m.lane, m.id).limit(bindparam("limit")).with_for_update(skip_locked=True)
        return state, in_order.cte("found")

    def _take(self, found: sa.CTE) -> sa.CTE:
        """Those messages taken out of their table, if we are alive and none of them must be alone."""
        message, w = self._database.tables.message, self._database.tables.worker.c
        any_found = sa.select(sa.literal(1)).select_from(found)
        # R1: whoever declares us dead waits until this is committed, or has done so and it takes nothing. Looked at
        # only where something was found, so that a look in vain writes nothing.
        ours = sa.select(w.id).where(w.id == bindparam("holder"), any_found.exists())
        alive = ours.with_for_update(read=True, key_share=True).cte("alive")
        places = sa.func.array(sa.select(found.c.place).scalar_subquery())
        return (
            sa.delete(message)
            .where(self._place == sa.any_(places), sa.select(alive.c.id).exists())
            .where(~any_found.where(found.c.alone > 0).exists())
            .returning(*(message.c[name] for name in _TAKEN))
            .cte("taken")
        )

    def _lease(self, taken: sa.CTE, state: sa.CTE) -> sa.CTE:
        lease = self._database.tables.lease
        until = state.c.now + bindparam("lease", type_=sa.BigInteger())
        owner = bindparam("holder", type_=lease.c.owner.type)
        rows = sa.select(self._of_queue, *(taken.c[name] for name in _TAKEN), owner, until)
        columns = ["queue", *_TAKEN, "owner", "lease_until"]
        return sa.insert(lease).from_select(columns, rows.select_from(taken.join(state, sa.true()))).cte("leased")

    def _counted(self, rows: sa.CTE, **steps: int) -> sa.CTE:
        number = sa.func.count()
        each = [
            sa.select(self._of_queue, sa.literal(what), number * step).select_from(rows).having(number > 0)
            for what, step in steps.items()
        ]
        return sa.insert(self._database.tables.tally).from_select(["queue", "what", "delta"], sa.union_all(*each)).cte()

    # No parameter is called as a column that is written: SQLAlchemy would set that.

    @property
    def _of_queue(self) -> sa.BindParameter[str]:
        return bindparam("of", type_=sa.String())

    @property
    def _place(self) -> sa.ColumnElement[Any]:
        place = self._database.dialect.place
        assert place is not None
        return place
