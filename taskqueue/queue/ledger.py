"""Who holds what of a queue whose store cannot tell (`Broker.capabilities.recovers` is False).

It is kept beside the entries, in their database, and changes in the transaction in which they change: the entry is the
truth and messages are hints (R7). A message that comes twice or late finds its entry held; a dead worker's entries come
back at once, under new messages (P3); what was declared dead takes nothing more (R1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from taskqueue.brokers.base import Broker
from taskqueue.brokers.statements import SUSPECT, Statements
from taskqueue.database import incarnations
from taskqueue.database.engine import Database, Transaction
from taskqueue.errors import Deposed
from taskqueue.message import Delivery, Lost


class Found(msgspec.Struct, frozen=True):
    """A lease that ended, and the receipt of its message."""

    lost: Lost
    receipt: str


class Ledger:
    """The leases of one queue. Each call is part of the thread's open transaction, or one of its own."""

    def __init__(self, database: Database, broker: Broker) -> None:
        self.database = database
        self._broker = broker
        #: a handle that pops in its own name is no worker, and nobody declares it dead
        self._own_name = broker.owner
        #: a name that no queue has: a broker in this very database may have leases of the queue's own name
        self._place = f"{broker.queue}/ledger"
        self._sql = Statements(database.tables, database.dialect)
        lease = database.tables.lease.c
        self._put = sa.insert(database.tables.lease)
        self._receipts = sa.select(lease.id, lease.body).where(database.dialect.ids_in(lease.id, "ids"))
        self._ids: dict[str, int] = {}

    def take(self, deliveries: Sequence[Delivery], *, lease: float) -> None:
        """These are its owner's for so many seconds. Raises Deposed if it was declared dead."""
        if not deliveries:
            return
        with self.database.begin() as tx:
            self._require_alive(tx)
            first = self.database.dialect.reserve_ids(tx, len(deliveries))
            until = self._until(tx, lease)
            rows = [self._row(delivery, first + n, until) for n, delivery in enumerate(deliveries)]
            tx.run_each(self._put, rows)
        self._ids |= {delivery.receipt: first + n for n, delivery in enumerate(deliveries)}

    def _require_alive(self, tx: Transaction) -> None:
        owner = self._broker.owner
        if owner != self._own_name and not tx.rows(self._sql.alive, {"owner": owner}):
            raise Deposed(f"queue {self._broker.queue!r}: worker {owner} was declared dead and must leave")

    def _until(self, tx: Transaction, lease: float) -> int:
        return self.database.dialect.lease_now(tx.connection) + int(lease * 1e6)

    def _row(self, delivery: Delivery, number: int, until: int) -> dict[str, Any]:
        return {
            "id": number,
            "queue": self._place,
            "lane": 2 * delivery.priority + 1,
            "task_id": delivery.id,
            "alone": int(delivery.alone),
            "owner": self._broker.owner,
            "lease_until": until,
            "body": delivery.receipt.encode(),
        }

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> set[str]:
        """Renew these to so many seconds from now; the receipts that are still its owner's."""
        with self.database.begin() as tx:
            ours = self._ours(tx, deliveries)
            if ours:
                tx.run(self._sql.extend, {"ids": list(ours.values()), "until": self._until(tx, lease)})
        return set(ours)

    def end(self, deliveries: Sequence[Delivery]) -> None:
        """These are nobody's any more."""
        with self.database.begin() as tx:
            ours = self._ours(tx, deliveries)
            if ours:
                tx.run(self._sql.end, {"ids": list(ours.values())})

            def forget() -> None:
                for delivery in deliveries:
                    self._ids.pop(delivery.receipt, None)

            tx.after_commit(forget)

    def _ours(self, tx: Transaction, deliveries: Sequence[Delivery]) -> dict[str, int]:
        ids = {d.receipt: self._ids[d.receipt] for d in deliveries if d.receipt in self._ids}
        if not ids:
            return {}
        given = {"ids": list(ids.values()), "owner": self._broker.owner}
        there = {number for (number,) in tx.rows(self._sql.ours, given)}
        return {receipt: number for receipt, number in ids.items() if number in there}

    def recover(self, owners: Sequence[str]) -> list[Found]:
        """Strike out what has ended and all that these dead owners hold; they take nothing more."""
        with self.database.begin() as tx:
            incarnations.remove(self.database, owners)
            over = {"owners": list(owners), "now": self.database.dialect.lease_now(tx.connection)}
            rows = tx.execute(self._sql.over, over | {"queue": self._place}).all()
            suspects = {row.owner for row in rows if row.held > 1}
            if suspects:
                tx.execute(self._sql.suspect, over | {"suspects": list(suspects)})
            ids = {"ids": [row.id for row in rows]}
            receipts = {row.id: row.body.decode() for row in tx.execute(self._receipts, ids)} if rows else {}
            if rows:
                tx.run(self._sql.end, ids)
        return [_found(row, receipts[row.id]) for row in rows]

    def any_over(self) -> bool:
        """Whether a lease has ended; takes no lock."""
        with self.database.read() as connection:
            now = self.database.dialect.lease_now(connection)
            over = {"queue": self._place, "owners": [], "now": now}
            return connection.execute(self._sql.any_over, over).first() is not None


def _found(row: sa.Row[Any], receipt: str) -> Found:
    single = row.held == 1 and row.alone != SUSPECT
    return Found(Lost(row.task_id, row.owner, single, alone=not single or row.alone > 0), receipt)
