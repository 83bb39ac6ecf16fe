"""Messages in this process's memory.

As it comes (`immediate`) it is honest about what it is (R18): enqueuing runs the task at once, in order, in the caller;
delays are ignored, nothing is leased, and what the process holds ends with it. With `immediate=False` it leases,
delays and recovers by the clock that it is given, like a real store: for tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Self

import msgspec

from taskqueue.brokers.base import Capabilities, Depth, refuse_too_large
from taskqueue.brokers.lanes import Lanes, Lease
from taskqueue.brokers.waiting import wait_for
from taskqueue.clock import Clock, SystemClock
from taskqueue.errors import Deposed
from taskqueue.ids import new_id
from taskqueue.message import Delivery, Lost, Message
from taskqueue.plugins import Store

HELD = Capabilities(durable=False, shared=False, transactional=False)
IMMEDIATE = msgspec.structs.replace(HELD, leases=False, immediate=True, max_delay=0.0)


class InMemoryQueueBroker:
    """A queue in memory. Safe in threads; `lanes` lets several handles share one."""

    def __init__(
        self,
        queue: str,
        *,
        clock: Clock | None = None,
        immediate: bool = True,
        owner: str | None = None,
        lanes: Lanes | None = None,
    ) -> None:
        self.queue = queue
        self.owner = owner or new_id()
        self.capabilities = IMMEDIATE if immediate else HELD
        self._clock = clock or SystemClock()
        self._lanes = lanes or Lanes()

    @classmethod
    def open(cls, store: Store, queue: str, *, owner: str | None = None) -> Self:  # noqa: ARG003  every broker is opened alike
        """The queue of a `memory://` URL: an empty one at each call."""
        return cls(queue, owner=owner)

    def initialize(self) -> None:
        pass

    def push(self, messages: Sequence[Message]) -> None:
        refuse_too_large(self.queue, messages, self.capabilities.max_body)
        with self._lanes.lock:
            now = self._clock.monotonic()
            for message in messages:
                self._lanes.put(message, due=self._due(now, message.delay), alone=message.alone)
            self._lanes.ring(len(messages))

    def pop(self, *, limit: int, lease: float) -> list[Delivery]:
        with self._lanes.lock:
            if self.owner in self._lanes.deposed:
                raise Deposed(f"queue {self.queue!r}: worker {self.owner} was declared dead and must leave")
            now = self._clock.monotonic()
            self._lanes.promote(now)
            until = now + lease if self.capabilities.leases else math.inf
            taken = list(self._lanes.take(limit))
            self._lanes.leases |= {waiting.receipt: Lease(waiting, self.owner, until) for waiting in taken}
        return [waiting.delivery() for waiting in taken]

    def ack(self, deliveries: Sequence[Delivery]) -> set[str]:
        with self._lanes.lock:
            return self._lanes.end(self._lanes.held(deliveries, self.owner))

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> set[str]:
        with self._lanes.lock:
            ours = self._lanes.held(deliveries, self.owner)
            until = self._clock.monotonic() + lease if self.capabilities.leases else math.inf
            kept = {x.waiting.receipt: msgspec.structs.replace(x, until=until) for x in ours}
            self._lanes.leases |= kept
        return set(kept)

    def release(self, deliveries: Sequence[Delivery], *, delay: float = 0.0, alone: bool = False) -> set[str]:
        with self._lanes.lock:
            ours = self._lanes.held(deliveries, self.owner)
            self._put_back(ours, due=self._due(self._clock.monotonic(), delay), alone=alone)
            self._lanes.ring(len(ours))
            return self._lanes.end(ours)

    def recover(self, owners: Sequence[str] = ()) -> list[Lost]:
        with self._lanes.lock:
            self._lanes.deposed |= set(owners)
            now, held = self._clock.monotonic(), sorted(self._lanes.leases.values(), key=lambda lease: lease.waiting)
            over = [lease for lease in held if lease.until < now or lease.owner in owners]
            lost = [Lost(x.waiting.message.id, x.owner, sum(x.owner == y.owner for y in held) == 1) for x in over]
            for lease, found in zip(over, lost, strict=True):
                self._put_back([lease], alone=not found.only_one)
            self._lanes.ring(len(over))
            self._lanes.end(over)
        return lost

    def _put_back(self, leases: Iterable[Lease], *, alone: bool, due: float | None = None) -> None:
        for lease in leases:
            was = lease.waiting
            self._lanes.put(was.message, due=due, back=due is None, alone=alone or was.alone)

    def wait(self, timeout: float, *, interrupt: int | None = None) -> bool:
        with self._lanes.bell() as bell:
            return wait_for(self, bell, timeout, interrupt)

    def ready(self) -> bool:
        with self._lanes.lock:
            return bool(self._lanes.waiting) or self.due_in() == 0

    def due_in(self) -> float | None:
        with self._lanes.lock:
            delayed = self._lanes.delayed
            return max(0.0, delayed[0][0] - self._clock.monotonic()) if delayed else None

    def depth(self) -> Depth:
        with self._lanes.lock:
            return Depth(len(self._lanes.waiting), len(self._lanes.delayed), len(self._lanes.leases))

    def close(self) -> None:
        pass

    def _due(self, now: float, delay: float) -> float | None:
        return now + delay if delay > 0 and self.capabilities.delays else None
