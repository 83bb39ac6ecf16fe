"""The keeper's duties: what somebody must do every now and then, so that nothing is left lying (P1, P3, P4).

Under a supervisor one child does nothing else; a worker that runs alone does them beside its work. Each duty is a
transaction of its own and any number of keepers may do it at once: the second finds nothing left to do.

    every second    give back what dead workers and ended leases held; push what producers could not
    every 10 s      fold the counts; strike off workers of which nobody has heard for longer than a lease
    every minute    purge ended entries past their retention, a small batch at a time; note orders that nobody answered
                    as lost, forget those that ended long ago, and hosts that were not heard of for as long
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

from taskqueue.clock import Clock
from taskqueue.database import hosts, incarnations, orders, tally
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable, ConfigurationError
from taskqueue.queue import Queue
from taskqueue.status import Status
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.worker.deaths import Death, Deaths

log = logging.getLogger(__name__)

#: a producer pushes by itself; only what is older than this is the keeper's, in seconds
RELAY_AFTER = 2.0
PURGE_BATCH = 500
#: leases are looked at every second; who could not for so long (or for half of a short lease, but two looks at least)
#: knows that the store was away
AMNESTY, TWO_LOOKS = 5.0, 2.0


class Keeper:
    """Does the duties that are due at each `step`."""

    def __init__(
        self,
        queues: Sequence[Queue],
        clock: Clock,
        *,
        retention: Mapping[Status, float] | None = None,
        deaths: Sequence[Deaths] = (),
        registers: Sequence[Database] = (),
    ) -> None:
        self._queues = queues
        self._clock = clock
        self._retention = retention or {}
        self._deaths = deaths
        self._registers = registers
        self._duties: list[tuple[float, Callable[[], object]]] = [
            (1.0, self.bury_the_dead),
            (1.0, self.recover),
            (1.0, self.relay),
            (10.0, self.fold),
            (10.0, self.strike_off),
            (60.0, self.purge),
            (60.0, self.tidy),
        ]
        self._purges: list[Iterator[int]] = []
        self._recovered_at = dict.fromkeys((queue.name for queue in queues), clock.monotonic())
        self._due = [0.0] * len(self._duties)

    def step(self) -> None:
        """Do what is due, in every store that answers (P14).

        Raises BrokerUnavailable at its end if one is away; what was left is done at the next step.
        """
        now = self._clock.monotonic()
        with Outages() as outages:
            for number, (period, duty) in enumerate(self._duties):
                if now >= self._due[number]:
                    with outages.weathered():
                        unfinished = duty() is True
                        self._due[number] = now + (1.0 if unfinished else period)

    def bury_the_dead(self) -> None:
        """Give back what dead workers of this host held, each with the cause of its death (P3, P4)."""
        with Outages() as outages:
            for deaths in self._deaths:
                for death in deaths.find():
                    with outages.weathered():
                        self._give_back(death)
                        for others in self._deaths:
                            others.bury(death)

    def _give_back(self, death: Death) -> None:
        dead, running, said = [death.incarnation], death.running, death.log or None
        self._at_each_queue(lambda queue: queue.recover(dead, running=running, log=said, excused=self._was_away(queue)))
        if running != {}:
            log.warning("%s", death)

    def recover(self) -> None:
        """Give back what ended leases held. After an outage that is no task's fault (P4)."""
        self._at_each_queue(self._recover)

    def _recover(self, queue: Queue) -> None:
        now = self._clock.monotonic()
        lost = queue.recover(excused=self._was_away(queue))
        if lost:
            log.warning("leases ended, tasks given back", extra={"queue": queue.name, "tasks": len(lost)})
        self._recovered_at[queue.name] = now

    def _was_away(self, queue: Queue) -> bool:
        """Its store did not answer for long: leases that ended meanwhile, and the workers with them, are no crash."""
        amnesty = min(AMNESTY, max(TWO_LOOKS, queue.limits.lease / 2))
        return self._clock.monotonic() > self._recovered_at[queue.name] + amnesty

    def relay(self) -> None:
        """Push what producers could not."""
        self._at_each_queue(lambda queue: queue.database is None and queue.relay(older_than=RELAY_AFTER))

    def fold(self) -> None:
        """Make few rows of the many that counts have become."""
        self._at_each_register(tally.fold_all)

    def strike_off(self) -> None:
        """Remove the workers of hosts that do not come back."""
        self._at_each_register(incarnations.strike_off)

    def tidy(self) -> None:
        """What is said about hosts, and to them, does not grow."""
        for step in (orders.settle, orders.forget, hosts.forget):
            self._at_each_register(step)

    def _at_each_register(self, step: Callable[[Database], object]) -> None:
        with Outages() as outages:
            for database in self._registers:
                with outages.weathered():
                    step(database)

    def _at_each_queue(self, step: Callable[[Queue], object]) -> None:
        with Outages() as outages:
            for queue in self._queues:
                with outages.weathered():
                    step(queue)

    def purge(self) -> bool:
        """Delete one small batch of ended entries past their retention; whether some may be left."""
        if not self._purges:
            self._purges = self._begin_purges()
        while self._purges:
            # The iterator keeps its place, so that the next step does not read again what is to stay.
            if self._purge_on(self._purges[0]):
                return True
            self._purges.pop(0)
        return False

    def _purge_on(self, purge: Iterator[int]) -> bool:
        try:
            return next(purge, None) is not None
        except BrokerUnavailable:
            self._purges = []  # An iterator that raised has lost its place: the next step begins anew.
            raise

    def _begin_purges(self) -> list[Iterator[int]]:
        now = self._clock.micros()
        return [
            task_log.purge(status=status, before=now - int(seconds * 1e6), limit=PURGE_BATCH)
            for status, seconds in self._retention.items()
            for task_log in self._logs()
        ]

    def _logs(self) -> list[TaskLogBroker]:
        return list({id(queue.task_log): queue.task_log for queue in self._queues}.values())


class Outages:
    """A row of steps of which each is tried although others found their store away; at its end the first is raised.

    A store that cannot work as it is configured is away, too: the other queues must not go without a keeper for it.
    """

    def __init__(self) -> None:
        self._first: BrokerUnavailable | ConfigurationError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._first is not None:
            first = self._first
            why = first if isinstance(first, ConfigurationError) else first.__cause__
            raise BrokerUnavailable(str(first)) from why

    @contextmanager
    def weathered(self) -> Iterator[None]:
        """Around one step."""
        try:
            yield
        except (BrokerUnavailable, ConfigurationError) as error:
            self._first = self._first or error
