"""Messages on the move between the tables of one queue: in, leased, put back, put off, promoted, gone.

Every step is part of an open transaction, keeps the counts, and rings once that is committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taskqueue.brokers.mark import Mark
from taskqueue.brokers.statements import ALONE, Statements
from taskqueue.clock import Clock
from taskqueue.database.direct import Row
from taskqueue.database.engine import Database, Transaction
from taskqueue.message import Delivery, Message


class Moves:
    """The moves of one queue."""

    def __init__(self, database: Database, queue: str, sql: Statements, clock: Clock) -> None:
        self._dialect, self._wakeup = database.dialect, database.wakeup
        self._queue, self._sql, self._clock = queue, sql, clock
        self.mark = Mark(clock, kept=database.dialect.keeps_dead_rows)

    def add(self, tx: Transaction, messages: Sequence[Message]) -> None:
        """New messages, at the end of their lanes or among the delayed."""
        base = self._reserve(tx, len(messages))
        rows = [(m, self.row(m, base + n)) for n, m in enumerate(messages, start=1)]
        now = [row for m, row in rows if m.delay <= 0]
        times = {delay: self._due(tx, delay) for delay in {m.delay for m in messages if m.delay > 0}}
        later = [row | times[m.delay] for m, row in rows if m.delay > 0]
        if now:
            self._dialect.insert_rows(tx, self._sql.push, now)
        if later:
            tx.run_each(self._sql.push_delayed, later)
        self._moved(tx, waiting=len(now), delayed=len(later))

    def promote(self, tx: Transaction, *, now: int, limit: int) -> None:
        """Up to `limit` messages that are due by then join the end of their lanes, under new ids (R9)."""
        due = tx.rows(self._sql.due, {"queue": self._queue, "now": now, "limit": limit})
        if not due:
            return
        these = self._sql.these(self._queue, due) | {"base": self._reserve(tx, len(due))}
        for statement in self._sql.promote:
            tx.run(statement, these)
        self._moved(tx, delayed=-len(due), waiting=len(due))

    def lease(self, tx: Transaction, *, owner: str, limit: int, until: int) -> list[Delivery]:
        """The first `limit` in order to this owner; what must be alone, alone."""
        found = self._scan(tx, limit)
        if not found:
            return []
        before_alone = next((place for place, row in enumerate(found) if row[3]), len(found))
        taken = found[: before_alone or 1]
        self.mark.move(tx, taken[-1][:2] if len(taken) == limit else None)
        these = self._sql.these(self._queue, taken) | {"owner": owner, "until": until}
        for statement in self._sql.lease:
            tx.run(statement, these)
        self._moved(tx, waiting=-len(taken), leased=len(taken))
        return [delivery_of(row) for row in taken]

    def _scan(self, tx: Transaction, limit: int) -> Sequence[Row]:
        """From where the last one ended (R9), and from the start if that is not enough."""
        given = {"queue": self._queue, "limit": limit}
        if (place := self.mark.place) is not None:
            lane, number = place
            found = tx.rows(self._sql.scan_on, given | {"lane": lane, "mark": number})
            if len(found) == limit:
                return found
        with self.mark.sweep():
            return tx.rows(self._sql.scan, given)

    def put_back(self, tx: Transaction, leases: Sequence[int], *, alone: bool = False) -> None:
        """Ended leases to the front of their priority, in their order."""
        tx.run(self._sql.put_back, self._under_new_ids(tx, leases, alone=alone))
        tx.run(self._sql.end, {"ids": leases})
        self._moved(tx, leased=-len(leases), waiting=len(leases))

    def put_off(self, tx: Transaction, leases: Sequence[int], *, delay: float, alone: bool) -> None:
        """Ended leases to the delayed."""
        tx.run(self._sql.put_off, self._under_new_ids(tx, leases, alone=alone) | self._due(tx, delay))
        tx.run(self._sql.end, {"ids": leases})
        self._moved(tx, leased=-len(leases), delayed=len(leases))

    def ours(self, tx: Transaction, given: Mapping[str, Any]) -> list[int]:
        """Which of these leases (`ids`) are still that `owner`'s; locked for the rest of the transaction."""
        return [number for (number,) in tx.rows(self._sql.ours, given)]

    def end(self, tx: Transaction, given: Mapping[str, Any]) -> list[int]:
        """The same, whose messages are done with."""
        if self._dialect.returns_changes:
            ended = [number for (number,) in tx.rows(self._sql.end_ours, given)]
        elif ended := self.ours(tx, given):
            tx.run(self._sql.end, {"ids": ended})
        self._moved(tx, leased=-len(ended))
        return ended

    def row(self, message: Message, number: int) -> dict[str, Any]:
        """A message that waits under that number."""
        return {
            "queue": self._queue,
            "lane": 2 * message.priority + 1,
            "id": number,
            "task_id": message.id,
            "alone": ALONE if message.alone else 0,
            "body": message.body,
        }

    def _due(self, tx: Transaction, delay: float) -> dict[str, int]:
        micros = int(delay * 1e6)
        return {"due": self._dialect.due_now(tx.connection) + micros, "due_wall": self._clock.micros() + micros}

    def _under_new_ids(self, tx: Transaction, leases: Sequence[int], *, alone: bool) -> dict[str, Any]:
        return {"ids": leases, "base": self._reserve(tx, len(leases)), "alone": ALONE if alone else 0}

    def _reserve(self, tx: Transaction, number: int) -> int:
        """The id before the first of `number` new ones."""
        return self._dialect.reserve_ids(tx, number) - 1

    def _moved(self, tx: Transaction, *, waiting: int = 0, delayed: int = 0, leased: int = 0) -> None:
        for what, delta in (("waiting", waiting), ("delayed", delayed), ("leased", leased)):
            if delta:
                tx.count(self._queue, what, delta)
        # One more delayed message may be the next due: somebody has to know how long to sleep.
        woken = max(0, waiting) + (delayed > 0)
        if woken:
            self._wakeup.announce(tx, self._queue, woken)


def delivery_of(row: Sequence[Any]) -> Delivery:
    """A row that a scan gave."""
    lane, number, task_id, alone, body, *_place = row
    if not isinstance(body, bytes):
        body = str(body).encode()  # somebody wrote text into the table; it is looked at like any other message
    return Delivery(task_id, body, str(number), lane // 2, bool(alone))
