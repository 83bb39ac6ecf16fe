"""Messages of one queue taken out of the database for good: those that wait, then those that are delayed.

No lease stands behind it. What one transaction takes it has settled before it commits, so that there is nothing to
give back for whoever dies in between, and no claim that could come too late (R1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from taskqueue.brokers.statements import ALONE
from taskqueue.database.engine import Database, Transaction
from taskqueue.message import Message

#: of a delay: none is longer
FOREVER = 2**62


class Taking:
    """Takes messages of one queue. Rows that another transaction holds are passed over."""

    def __init__(self, database: Database, queue: str) -> None:
        self._dialect, self._queue = database.dialect, queue
        m, d = database.tables.message.c, database.tables.delayed.c
        among = self._dialect.ids_in
        self._waiting = self._scan(m).order_by(m.lane, m.id)
        self._delayed = self._scan(d, d.due).where(d.due <= bindparam("latest")).order_by(d.due, d.id)
        self._remove_waiting = sa.delete(database.tables.message).where(
            m.queue == bindparam("queue"), among(m.lane, "majors"), among(m.id, "ids")
        )
        self._remove_delayed = sa.delete(database.tables.delayed).where(
            d.queue == bindparam("queue"), among(d.due, "majors"), among(d.id, "ids")
        )

    def _scan(self, c: Any, *more: sa.ColumnElement[Any]) -> sa.Select[Any]:
        return (
            sa.select(c.id, c.lane, c.task_id, c.alone, c.body, *more)
            .where(c.queue == bindparam("queue"), sa.func.length(c.body) <= bindparam("largest"))
            .limit(bindparam("limit"))
            .with_for_update(skip_locked=True)
        )

    def take(self, tx: Transaction, *, limit: int, largest: int, longest: float | None) -> list[Message]:
        """Up to `limit` messages, which are gone if this transaction commits (see `Emptiable.take`)."""
        given = {"queue": self._queue, "largest": largest}
        waiting = tx.execute(self._waiting, given | {"limit": limit}).all()
        self._remove(tx, self._remove_waiting, waiting, majors=[row.lane for row in waiting])
        taken = [_message(row, 0.0) for row in waiting]
        if len(taken) < limit:
            now = self._dialect.due_now(tx.connection)
            latest = FOREVER if longest is None else now + int(longest * 1e6)
            delayed = tx.execute(self._delayed, given | {"limit": limit - len(taken), "latest": latest}).all()
            self._remove(tx, self._remove_delayed, delayed, majors=[row.due for row in delayed])
            taken += [_message(row, max(0.0, (row.due - now) / 1e6)) for row in delayed]
            tx.count(self._queue, "delayed", -len(delayed))
        tx.count(self._queue, "waiting", -len(waiting))
        return taken

    def _remove(
        self, tx: Transaction, statement: sa.Delete, rows: Sequence[sa.Row[Any]], *, majors: Sequence[int]
    ) -> None:
        if rows:
            these = {"queue": self._queue, "majors": sorted(set(majors)), "ids": [row.id for row in rows]}
            tx.execute(statement, these)


def _message(row: sa.Row[Any], delay: float) -> Message:
    body = row.body if isinstance(row.body, bytes) else str(row.body).encode()
    return Message(row.task_id, body, row.lane // 2, delay, row.alone >= ALONE)
