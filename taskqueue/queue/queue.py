"""A queue: broker and task log as one thing.

Here, and only here, the two are written together. On one database each step is one transaction, so entry and message
never disagree. On two stores the entry comes first: the task log is the outbox of what was enqueued (P1), and a
report is stored before its message is acknowledged, because a crash between them is then a second delivery, which the
fence refuses, and not a lost report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar, cast

from msgspec.structs import replace

from taskqueue.brokers.base import Broker, Revealing
from taskqueue.clock import Clock, SystemClock
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable, ConfigurationError
from taskqueue.message import Delivery, Lost, Message
from taskqueue.queue.intake import Intake
from taskqueue.queue.ledger import Ledger
from taskqueue.queue.records import Records, judged
from taskqueue.queue.sorting import Sorting
from taskqueue.queue.turns import ShortWay
from taskqueue.queue.values import Finished, Held, Limits, Parent, Turn
from taskqueue.status import Status
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.tasklog.entry import Cause, Claim, Entry

T = TypeVar("T")


class Queue:
    """One named queue.

    `database` is the database that broker and task log share, or None where they stand in different stores;
    `log_database` the one that the task log stands in, if it is one.
    """

    def __init__(
        self,
        broker: Broker,
        task_log: TaskLogBroker,
        *,
        limits: Limits | None = None,
        database: Database | None = None,
        log_database: Database | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = broker.queue
        self.broker = broker
        self.task_log = task_log
        self.limits = limits or Limits()
        self.database = database
        self.log_database = log_database or database
        self.intake = Intake(broker, task_log, self.limits, database, clock or SystemClock())
        self._ledger = None if broker.capabilities.recovers else self._opened_ledger()
        #: two stores that know nothing of each other: the claim may be stored although its answer was lost. Then only
        #: the end of the broker's lease tells, in whose name the log gives the entry back (R4)
        self._apart = database is None and self._ledger is None and broker.capabilities.leases
        self._short_way = ShortWay.of(database, task_log, broker)
        self._records = Records(broker, task_log, self._ledger, self.intake.clock)
        self._sorting = Sorting(self.intake, hints=self._ledger is not None)

    def _opened_ledger(self) -> Ledger:
        if self.log_database is None:
            raise ConfigurationError(
                f"queue {self.name!r}: its broker does not tell who holds a message, so that its task log must be in a "
                'database that all workers share: write [task_log] url = "postgresql+psycopg://..."'
            )
        return Ledger(self.log_database, self.broker)

    @property
    def log_store(self) -> object:
        """The store of its entries, by which its outages are known; not the queue's own if it has two."""
        return self if self.database is not None else self.log_database or self.task_log

    @property
    def lease_store(self) -> object:
        """The store that says until when something is held: messages that are only hints are held in the task log's."""
        return self if self._ledger is None else self.log_store

    @property
    def looks_by_claiming(self) -> bool:
        """A claim that finds nothing takes no lock: there is no need to look before."""
        return self._short_way is not None

    def initialize(self) -> None:
        """Create what the stores miss (P17)."""
        self.broker.initialize()
        self.task_log.initialize()

    def enqueue(
        self, batch: Sequence[tuple[Entry, Message]], *, parent: Parent | None = None, joined: bool = False
    ) -> list[str]:
        """Store entries and messages, all or none; the ids that were new (P1).

        With `parent`, only if its fence is still the current one (else LeaseLost). `joined`: inside the application's
        transaction. Raises QueueFull, MessageTooLarge, BrokerUnavailable.
        """
        return self.intake.enqueue(batch, parent=parent, joined=joined)

    def relay(self, *, older_than: float, limit: int = 500) -> int:
        """Push messages that their producers could not (P1); how many."""
        return self.intake.relay(older_than=older_than, limit=limit)

    # The worker's turn

    def turn(self, finished: Sequence[Finished], *, limit: int, lease: float, worker: str) -> Turn:
        """Store what became of the last tasks, and claim up to `limit` new ones."""
        if self._short_way is None or (self.database is not None and self.database.in_transaction):
            return self._together(lambda: self._turn(finished, limit=limit, lease=lease, worker=worker))
        accepted, left = self._short_way.end(finished)
        turn = None if left else self._claim_at_once(self._short_way, limit, lease, worker)
        if turn is None:
            turn = self._together(lambda: self._turn(left, limit=limit, lease=lease, worker=worker))
        return replace(turn, accepted=turn.accepted | accepted)

    def _claim_at_once(self, short_way: ShortWay, limit: int, lease: float, worker: str) -> Turn | None:
        if not limit:
            return Turn([], set(), short=False)
        if (received := short_way.claim(limit=limit, lease=lease, worker=worker)) is None:
            return None
        held, left = self._sorting.without_twins(received.held), received.left
        # Some may not run. Should the store go away meanwhile, those that may are ours.
        with suppress(BrokerUnavailable):
            held += self._together(lambda: self._claim(left, worker, lease)) if left else []
        return Turn(held, set(), short=len(received.held) + len(left) < limit, due_in=received.due_in)

    def _turn(self, finished: Sequence[Finished], *, limit: int, lease: float, worker: str) -> Turn:
        accepted = self._finish(finished) if finished else set()
        deliveries = self._pop(limit, lease) if limit else []
        held = self._claim(deliveries, worker, lease) if deliveries else []
        return Turn(held, accepted, short=len(deliveries) < limit)

    def _pop(self, limit: int, lease: float) -> list[Delivery]:
        if self._apart:
            self.task_log.statuses([])  # raises where it is away: nothing is popped that could not be claimed
        return self.broker.pop(limit=limit, lease=lease)

    def _finish(self, finished: Sequence[Finished]) -> set[str]:
        # Left to the outbox: what must wait for longer than a message can.
        late = [f for f in finished if f.outcome.status is Status.ENQUEUED and self._too_long(f.outcome.delay)]
        accepted = self._records.finish(finished, unpushed=late)
        ended = [f.delivery for f in finished if f.outcome.status is not Status.ENQUEUED or f in late]
        # A refused outcome's message is acknowledged too: the receipt says whether it is still ours.
        if ended:
            self.broker.ack(ended)
        again = [f for f in finished if f.outcome.status is Status.ENQUEUED and f not in late]
        gone = [f for f in again if not self.broker.release([f.delivery], delay=f.outcome.delay)]
        if self._ledger is not None and (ids := [f.outcome.id for f in gone if f.outcome.id in accepted]):
            # Their messages are in other hands, who may not bring them back: the outbox sends new ones.
            self.task_log.relayed(ids, at=None)
        return accepted

    def _too_long(self, delay: float) -> bool:
        most = self.broker.capabilities.max_release
        return most is not None and delay > most

    def _claim(self, deliveries: Sequence[Delivery], worker: str, lease: float) -> list[Held]:
        try:
            answers = self._records.claim(deliveries, worker=worker, lease=lease)
        except BaseException:
            if self.database is None and not self._apart:
                with suppress(BrokerUnavailable):
                    self.broker.release(deliveries)
            raise
        held = [Held(d, claim) for d in deliveries if isinstance(claim := answers[d.id], Claim)]
        if len(held) == len(deliveries):
            return held if len(answers) == len(held) else self._sorting.without_twins(held)
        adopted = self._sorting.sort(deliveries, answers)
        return self._sorting.without_twins(held) + (self._claim(adopted, worker, lease) if adopted else [])

    # Leases

    def extend(self, held: Sequence[Held], *, lease: float) -> set[str]:
        """Renew these leases; the ids that are still ours."""
        if not held:
            return set()
        deliveries = [h.delivery for h in held]
        kept = self._together(lambda: self._extend(deliveries, lease))
        return {h.delivery.id for h in held if h.delivery.receipt in kept}

    def _extend(self, deliveries: Sequence[Delivery], lease: float) -> set[str]:
        if self._ledger is None:
            return self.broker.extend(deliveries, lease=lease)
        kept = self._ledger.extend(deliveries, lease=lease)
        # A message that comes back meanwhile finds its entry held: to hide it for longer only saves looking at it.
        with suppress(BrokerUnavailable):
            self.broker.extend([d for d in deliveries if d.receipt in kept], lease=lease)
        return kept

    def release(self, held: Sequence[Held], *, cause: Cause | None = None, detail: str = "") -> None:
        """Give these back unrun, at once; they come first at their priority."""
        if held:
            self._together(lambda: self._release(held, cause, detail))

    def _release(self, held: Sequence[Held], cause: Cause | None, detail: str) -> None:
        # Entry first: a message that is visible again must find it enqueued.
        self._records.release(held, cause=cause, detail=detail)
        self.broker.release([h.delivery for h in held])

    def recover(
        self,
        dead: Iterable[str] = (),
        *,
        running: Mapping[str, str] | None = None,
        log: str | None = None,
        excused: bool = False,
    ) -> list[Lost]:
        """Return what ended leases and these dead incarnations held (P3); what was lost.

        `running` names the tasks that the dead are known to have run, with the cause in one line (P4); None: nobody
        can tell, so that only a task which was held alone is known to be its worker's death. `log` is what the one that
        ran logged last. `excused`: the store was away, and a lease that ended meanwhile is no task's fault.
        """
        owners = list(dead)

        def take_back(lost: list[Lost]) -> list[Lost]:
            return self._recover(judged(lost, owners, running, log, excused=excused))

        if self._ledger is None:
            return self._together(lambda: take_back(self.broker.recover(owners)))
        lost, receipts = self._records.recover(owners, take_back, revealing=self.broker.capabilities.groups)
        if receipts:
            # Their messages keep their places. One that cannot be shown now comes when its lease there ends.
            with suppress(BrokerUnavailable):
                cast("Revealing", self.broker).reveal(receipts)
        elif lost:
            self.intake.push_again([one.id for one in lost])
        return lost

    def _recover(self, lost: list[Lost]) -> list[Lost]:
        if lost:
            self.task_log.lost(lost, max_crashes={self.name: self.limits.max_crashes})
        return lost

    def _together(self, step: Callable[[], T]) -> T:
        if self.database is None:
            return step()
        return self.database.turn(lambda: self._in_transaction(step))

    def _in_transaction(self, step: Callable[[], T]) -> T:
        assert self.database is not None
        with self.database.begin():
            return step()
