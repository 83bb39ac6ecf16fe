"""Messages in a relational database.

What waits, what is leased and what is delayed stand in tables of their own, and messages move between them: the table
that is scanned holds only what can be claimed. A call is one transaction, which joins the thread's open one, and a
fixed number of statements whatever the number of messages.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

import msgspec
import sqlalchemy as sa

from taskqueue.brokers.base import Capabilities, Depth, refuse_too_large
from taskqueue.brokers.handing import Claiming, Ending, Handed, Handing
from taskqueue.brokers.moves import Moves
from taskqueue.brokers.statements import SUSPECT, Statements
from taskqueue.brokers.taking import Taking
from taskqueue.brokers.waiting import wait_for
from taskqueue.clock import Clock, SystemClock
from taskqueue.database import incarnations, tally
from taskqueue.database.engine import Database, Transaction
from taskqueue.errors import BrokerUnavailable, ConfigurationError, Deposed
from taskqueue.ids import new_id
from taskqueue.message import Delivery, Lost, Message
from taskqueue.plugins import Store

T = TypeVar("T")

#: due messages that one pop moves to their lanes at most, so that no transaction grows with the queue
PROMOTED = 500
#: seconds that a handle which pops in its own name is taken for alive; nobody renews that
HANDLE_LIFE = 365 * 86400.0


class RdsQueueBroker:
    """A queue in a database. Safe in threads and after a fork, as its database is."""

    capabilities = Capabilities(durable=True, shared=True, transactional=True)

    def __init__(self, database: Database, queue: str, *, owner: str | None = None, clock: Clock | None = None) -> None:
        self.database = database
        self.queue = queue
        self._own_name = new_id()
        self.owner = owner or self._own_name
        self._registered = False
        self.capabilities = msgspec.structs.replace(self.capabilities, max_body=database.dialect.max_body)
        self._sql = Statements(database.tables, database.dialect)
        self._moves = Moves(database, queue, self._sql, clock or SystemClock())
        self._taking = Taking(database, queue)
        self._handing = None if database.dialect.new_id is None else Handing(database, queue, self._moves.mark)
        self._short = False

    @classmethod
    def open(cls, store: Store, queue: str, *, owner: str | None = None) -> Self:
        if store.database is None:
            raise ConfigurationError(f"queue {queue!r}: its broker needs a database")
        return cls(store.database(), queue, owner=owner)

    def initialize(self) -> None:
        self.database.initialize()

    def push(self, messages: Sequence[Message]) -> None:
        refuse_too_large(self.queue, messages, self.capabilities.max_body)
        if messages:
            self._step(lambda tx: self._moves.add(tx, messages))

    def pushing(self, stored: sa.CTE) -> tuple[sa.CTE, sa.CTE]:
        return self._sql.pushing(stored)

    def pushed(self, message: Message) -> dict[str, Any]:
        row = self._moves.row(message, 0)
        del row["id"]
        return row

    def pop(self, *, limit: int, lease: float) -> list[Delivery]:
        if self._short and not self.database.in_transaction and not self.ready():
            return []  # an idle worker takes no lock that writers need

        def claim(tx: Transaction) -> list[Delivery]:
            self._require_alive(tx)
            now, due_now = self.database.dialect.clocks(tx.connection)
            self._moves.promote(tx, now=due_now, limit=max(limit, PROMOTED))
            return self._moves.lease(tx, owner=self.owner, limit=limit, until=now + int(lease * 1e6))

        taken = self._step(claim)
        self._short = len(taken) < limit
        return taken

    @property
    def hands_over(self) -> bool:
        """Whether `hand_over` may be asked; then a look that finds nothing locks nothing."""
        return self._handing is not None

    def hand_over(self, log: Claiming, *, limit: int, lease: float, worker: str) -> Handed | None:
        """`pop` and the claims of its tasks at once; None where it has to be the one and then the other."""
        if self._handing is None:
            return None
        return self._handing.over(log, owner=self.owner, worker=worker, limit=limit, lease=lease)

    def hand_back(self, log: Ending, values: Mapping[str, Any]) -> set[str]:
        """`ack` of these messages where their tasks can be ended at once; which tasks were."""
        assert self._handing is not None
        return self._handing.back(log, values, owner=self.owner)

    def _step(self, step: Callable[[Transaction], T]) -> T:
        """One transaction, repeated where another one was in the way; a part of the thread's open one (R12)."""

        def transaction() -> T:
            with self.database.begin() as tx:
                return step(tx)

        return self.database.turn(transaction)

    def _require_alive(self, tx: Transaction) -> None:
        if self.owner == self._own_name and not self._registered:
            self._register(tx)
        if not tx.rows(self._sql.alive, {"owner": self.owner}):
            raise Deposed(f"queue {self.queue!r}: worker {self.owner} was declared dead and must leave")

    def _register(self, tx: Transaction) -> None:
        host, pid = socket.gethostname(), os.getpid()
        incarnations.register(
            self.database,
            self.owner,
            slot=f"{host}:{pid}",
            host=host,
            pid=pid,
            kind="handle",
            queues=(),  # it shares the queue with nobody: workers do not reckon with it
            lease=HANDLE_LIFE,
        )
        tx.after_commit(self._note_registered)

    def _note_registered(self) -> None:
        self._registered = True

    def ack(self, deliveries: Sequence[Delivery]) -> set[str]:
        return self._with_ours(deliveries, self._moves.end)

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> set[str]:
        def renew(tx: Transaction, given: Mapping[str, Any]) -> list[int]:
            ours = self._moves.ours(tx, given)
            if ours:
                until = self.database.dialect.lease_now(tx.connection) + int(lease * 1e6)
                tx.run(self._sql.extend, {"ids": ours, "until": until})
            return ours

        return self._with_ours(deliveries, renew)

    def release(self, deliveries: Sequence[Delivery], *, delay: float = 0.0, alone: bool = False) -> set[str]:
        def give(tx: Transaction, given: Mapping[str, Any]) -> list[int]:
            ours = self._moves.ours(tx, given)
            if ours and delay > 0:
                self._moves.put_off(tx, ours, delay=delay, alone=alone)
            elif ours:
                self._moves.put_back(tx, ours, alone=alone)
            return ours

        return self._with_ours(deliveries, give)

    def _with_ours(
        self, deliveries: Sequence[Delivery], step: Callable[[Transaction, Mapping[str, Any]], list[int]]
    ) -> set[str]:
        """Do `step` to those leases that these receipts still name and we still hold (P2, R4); which."""
        if not deliveries:
            return set()
        given = {"ids": [int(d.receipt) for d in deliveries], "owner": self.owner}
        return {str(receipt) for receipt in self._step(lambda tx: step(tx, given))}

    def recover(self, owners: Sequence[str] = ()) -> list[Lost]:
        if not owners and not self._any_over():
            self._wake_for_what_waits()
            return []
        return self._step(lambda tx: self._recover(tx, owners))

    def _recover(self, tx: Transaction, owners: Sequence[str]) -> list[Lost]:
        # First who may claim, then what was claimed: a claim still on its way finds its right gone (R1).
        incarnations.remove(self.database, owners)
        over = {"owners": list(owners), "now": self.database.dialect.lease_now(tx.connection)}
        rows = tx.execute(self._sql.over, over | {"queue": self.queue}).all()
        suspects = {row.owner for row in rows if row.held > 1}
        if suspects:
            tx.execute(self._sql.suspect, over | {"suspects": list(suspects)})
        if rows:
            self._moves.put_back(tx, [row.id for row in rows])
        return [Lost(row.task_id, row.owner, row.held == 1 and row.alone != SUSPECT) for row in rows]

    def _wake_for_what_waits(self) -> None:
        """Idle workers look seldom by themselves: a wake-up that was lost with its receiver is repeated."""
        if self.ready():
            with self.database.begin() as tx:
                self.database.wakeup.announce(tx, self.queue)

    def _any_over(self) -> bool:
        with self.database.read() as connection:
            over = {"queue": self.queue, "owners": [], "now": self.database.dialect.lease_now(connection)}
            return connection.execute(self._sql.any_over, over).first() is not None

    def take(
        self, *, limit: int, largest: int, longest: float | None, settle: Callable[[Sequence[Message]], None]
    ) -> list[Message]:
        def step(tx: Transaction) -> list[Message]:
            taken = self._taking.take(tx, limit=limit, largest=largest, longest=longest)
            if taken:
                settle(taken)
            return taken

        return self._step(step)

    def wait(self, timeout: float, *, interrupt: int | None = None) -> bool:
        with self.database.wakeup.listen(self.queue) as bell:
            return wait_for(self, bell, timeout, interrupt, trusting=self.hands_over)

    def ready(self) -> bool:
        ((waiting, due),) = self.database.rows(self._sql.look, {"queue": self.queue})
        return bool(waiting) or self._left_until(due) == 0

    def due_in(self) -> float | None:
        ((due,),) = self.database.rows(self._sql.next_due, {"queue": self.queue})
        return self._left_until(due)

    def _left_until(self, due: int | None) -> float | None:
        if due is None:
            return None
        with self.database.read() as connection:
            return max(0.0, (due - self.database.dialect.due_now(connection)) / 1e6)

    def depth(self) -> Depth:
        counts = {what: total for (_, what), total in tally.sums(self.database, self.queue).items()}
        return Depth(counts.get("waiting", 0), counts.get("delayed", 0), counts.get("leased", 0))

    def close(self) -> None:
        if self._registered:
            with suppress(BrokerUnavailable):  # then its leases end by themselves
                incarnations.remove(self.database, [self._own_name])
