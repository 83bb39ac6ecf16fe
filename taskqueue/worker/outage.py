"""Stores that are away, each by itself: wait with a capped, jittered back-off (P14, P15).

One line when one goes, one when it is back.
"""

from __future__ import annotations

import logging
from random import Random
from types import TracebackType

from taskqueue.clock import Clock
from taskqueue.errors import BrokerUnavailable
from taskqueue.queue import Queue

log = logging.getLogger(__name__)
#: seconds; who waited for longer would not be back at work within three once the store is there again
FIRST, CAP = 0.1, 2.0


class Outage:
    """Whether one store is away, and when to try it again."""

    def __init__(self, random: Random | None = None) -> None:
        self._random = random or Random()
        self._since: float | None = None
        self._tries = 0
        #: how often it went away, and for how many seconds, without those since it went last
        self.times, self.lasted = 0, 0.0
        #: monotonic time before which the store is not asked
        self.until = 0.0

    @property
    def on(self) -> bool:
        """The last try failed."""
        return self._since is not None

    def seconds(self, now: float) -> float:
        """How long it was away, all outages together."""
        return self.lasted + (now - self._since if self._since is not None else 0.0)

    def failed(self, now: float, error: Exception) -> None:
        """A try failed."""
        if self._since is None:
            self._since = now
            self.times += 1
            log.error("store away: %s; the worker waits and keeps its reports", error)
        wait = min(CAP, FIRST * 2**self._tries)
        self._tries = min(self._tries + 1, 10)
        self.until = now + wait * self._random.uniform(0.5, 1.0)

    def worked(self, now: float) -> None:
        """A try worked."""
        if self._since is not None:
            log.warning("store back after %.1f s", now - self._since)
            self.lasted += now - self._since
            self._since, self._tries, self.until = None, 0, 0.0


class Outages:
    """The outages of all the stores that one worker uses: a database, or a queue's broker that stands by itself."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._by_store: dict[object, Outage] = {}

    def of(self, store: object) -> Outage:
        """The outage of that store: a queue's, or a database's."""
        key = (store.database or store.broker) if isinstance(store, Queue) else store
        if key not in self._by_store:
            self._by_store[key] = Outage(self._random)
        return self._by_store[key]

    def until(self, store: object) -> float:
        """Monotonic time before which that store is not asked."""
        return self.of(store).until

    def away(self, store: object) -> bool:
        """That store is not to be asked now."""
        return self._clock.monotonic() < self.until(store)

    @property
    def on(self) -> bool:
        """Some store's last try failed."""
        return any(outage.on for outage in self._by_store.values())

    @property
    def times(self) -> int:
        """How often one went away."""
        return sum(outage.times for outage in self._by_store.values())

    def seconds(self, now: float) -> float:
        """How long they were away, all outages of all stores together."""
        return sum(outage.seconds(now) for outage in self._by_store.values())

    def weathered(self, store: object) -> _Weathered:
        """Around what asks that store: that it is away ends the step, and is noted."""
        return _Weathered(self.of(store), self._clock)

    def worked(self, store: object) -> None:
        """It answered."""
        self.of(store).worked(self._clock.monotonic())


class _Weathered:
    def __init__(self, outage: Outage, clock: Clock) -> None:
        self._outage = outage
        self._clock = clock

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> bool:
        if isinstance(error, BrokerUnavailable):
            self._outage.failed(self._clock.monotonic(), error)
            return True
        return False
