"""A queue's entries, and beside them who holds what where the broker cannot tell: written together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from taskqueue.brokers.base import Broker
from taskqueue.clock import Clock
from taskqueue.message import Delivery, Lost
from taskqueue.queue.ledger import Found, Ledger
from taskqueue.queue.values import Finished, Held
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.tasklog.entry import Cause, Claim, Refusal

T = TypeVar("T")
#: microseconds by which hosts' clocks may differ before a task is thought to be early
SLACK = 500_000


class Records:
    """The task log's side of each step of `Queue`. Without a ledger it is the task log alone."""

    def __init__(self, broker: Broker, task_log: TaskLogBroker, ledger: Ledger | None, clock: Clock) -> None:
        self._broker = broker
        self._task_log = task_log
        self._ledger = ledger
        self._clock = clock

    def claim(self, deliveries: Sequence[Delivery], *, worker: str, lease: float) -> Mapping[str, Claim | Refusal]:
        """Claim the entries of these deliveries."""
        return self._together(lambda: self._claim(deliveries, worker, lease))

    def _claim(self, deliveries: Sequence[Delivery], worker: str, lease: float) -> Mapping[str, Claim | Refusal]:
        if self._ledger is None:
            return self._task_log.claim(deliveries, worker=worker, incarnation=self._broker.owner)
        # An old message says nothing of when its task is due, nor of what happened to it since.
        soon = self._clock.micros() + SLACK
        answers = self._task_log.claim(deliveries, worker=worker, incarnation=self._broker.owner, due=soon)
        first = {d.id: d for d in reversed(deliveries) if isinstance(answers[d.id], Claim)}
        self._ledger.take(list(first.values()), lease=lease)
        return answers

    def finish(self, finished: Sequence[Finished], *, unpushed: Sequence[Finished]) -> set[str]:
        """Store these outcomes; `unpushed` are enqueued again and left to the outbox. The ids that were accepted."""
        return self._together(lambda: self._finish(finished, unpushed))

    def _finish(self, finished: Sequence[Finished], unpushed: Sequence[Finished]) -> set[str]:
        accepted = self._task_log.finish([f.outcome for f in finished])
        if waiting := [f.outcome.id for f in unpushed if f.outcome.id in accepted]:
            self._task_log.relayed(waiting, at=None)
        self._end([f.delivery for f in finished])
        return accepted

    def release(self, held: Sequence[Held], *, cause: Cause | None, detail: str) -> None:
        """These are enqueued again."""
        self._together(lambda: self._release(held, cause, detail))

    def _release(self, held: Sequence[Held], cause: Cause | None, detail: str) -> None:
        self._task_log.release({h.claim.id: h.claim.fence for h in held}, cause=cause, detail=detail)
        self._end([h.delivery for h in held])

    def _end(self, deliveries: Sequence[Delivery]) -> None:
        if self._ledger is not None:
            self._ledger.end(deliveries)

    def recover(
        self, dead: Sequence[str], take_back: Callable[[list[Lost]], list[Lost]], *, revealing: bool
    ) -> tuple[list[Lost], list[str]]:
        """Strike out what has ended and what the dead held, and let `take_back` tell the task log.

        What was lost, and is to be pushed again: or, `revealing`, is to be shown by these receipts.
        """
        if self._ledger is None or not (dead or self._ledger.any_over()):
            return [], []
        ledger = self._ledger

        def step() -> tuple[list[Lost], list[str]]:
            found: list[Found] = ledger.recover(dead)
            lost = take_back([one.lost for one in found])
            if revealing:
                return lost, [one.receipt for one in found]
            self._task_log.relayed([one.id for one in lost], at=None)
            return lost, []

        return self._together(step)

    def _together(self, step: Callable[[], T]) -> T:
        if self._ledger is None:
            return step()
        database = self._ledger.database

        def transaction() -> T:
            with database.begin():
                return step()

        return database.turn(transaction)


def judged(
    lost: Iterable[Lost], dead: Sequence[str], running: Mapping[str, str] | None, log: str | None, *, excused: bool
) -> list[Lost]:
    """What is known of how the owners ended: of these dead, if `running` names tasks; of all, if that is `excused`."""
    told = frozenset(dead) if running is not None else frozenset[str]()
    causes = {} if excused else running or {}
    return [one.judged(causes, log) if excused or one.owner in told else one for one in lost]
