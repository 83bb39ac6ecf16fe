"""The messages of one queue in memory: in lanes, delayed, and leased. Several handles may share them."""

from __future__ import annotations

import heapq
import math
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from taskqueue.message import Delivery, Message


class Waiting(msgspec.Struct, frozen=True, order=True):
    """A message in its lane: what came back (2 * priority) before what is new (2 * priority + 1)."""

    lane: int
    number: int
    message: Message
    alone: bool = False

    @property
    def receipt(self) -> str:
        """Names this one stay in the queue, and the one hand-over that ends it."""
        return str(self.number)

    def delivery(self) -> Delivery:
        """What its holder gets."""
        return Delivery(self.message.id, self.message.body, self.receipt, self.message.priority, self.alone)


class Lease(msgspec.Struct, frozen=True):
    """A message that an owner holds until a moment of the store's clock."""

    waiting: Waiting
    owner: str
    until: float


class Lanes:
    """Whoever touches these holds `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.waiting: list[Waiting] = []
        self.delayed: list[tuple[float, Waiting]] = []
        self.leases: dict[str, Lease] = {}
        self.deposed: set[str] = set()
        self._number = 0
        self._bells: list[Pipe] = []

    def put(self, message: Message, *, due: float | None, back: bool = False, alone: bool = False) -> None:
        """Into its lane, or among the delayed where `due` says until when."""
        self._number += 1
        waiting = Waiting(2 * message.priority + (not back), self._number, message, alone)
        if due is None:
            heapq.heappush(self.waiting, waiting)
        else:
            heapq.heappush(self.delayed, (due, waiting))

    def promote(self, now: float) -> None:
        """What is due joins the end of its lane."""
        while self.delayed and self.delayed[0][0] <= now:
            _, due = heapq.heappop(self.delayed)
            self.put(due.message, due=None, alone=due.alone)

    def take(self, limit: int) -> Iterator[Waiting]:
        """The first `limit` in order; what must be alone, alone."""
        for place in range(limit):
            if not self.waiting or (place and self.waiting[0].alone):
                return
            yield (first := heapq.heappop(self.waiting))
            if first.alone:
                return

    def held(self, deliveries: Iterable[Delivery], owner: str) -> list[Lease]:
        """The leases of this owner that these deliveries still stand for, in the order of their lanes."""
        found = {d.receipt: lease for d in deliveries if (lease := self.leases.get(d.receipt))}
        return sorted((x for x in found.values() if x.owner == owner), key=lambda x: x.waiting)

    def end(self, leases: Iterable[Lease]) -> set[str]:
        """Forget these leases; their receipts."""
        ended = {lease.waiting.receipt for lease in leases}
        for receipt in ended:
            del self.leases[receipt]
        return ended

    def ring(self, times: int) -> None:
        """Wake up to that many who wait."""
        for bell in self._bells[:times]:
            bell.ring()

    @contextmanager
    def bell(self) -> Iterator[Pipe]:
        """A bell that `ring` reaches as long as the block lasts."""
        bell = Pipe()
        with self.lock:
            self._bells.append(bell)
        try:
            yield bell
        finally:
            with self.lock:
                self._bells.remove(bell)
            bell.close()


class Pipe:
    """A bell within a process."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._in, False)

    def fileno(self) -> int:
        """The end to wait on."""
        return self._out

    def ring(self) -> None:
        """Make it readable."""
        with suppress(BlockingIOError):  # full of rings that nobody has heard yet
            os.write(self._in, b"!")

    def drain(self) -> None:
        """Make it quiet again."""
        os.read(self._out, 4096)

    def patience(self) -> float:
        """It never misses a ring."""
        return math.inf

    def close(self) -> None:
        """Let go of both ends."""
        os.close(self._out)
        os.close(self._in)
