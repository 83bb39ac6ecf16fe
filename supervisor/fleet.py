"""The fleet of this host: its pools, their slots, and what is wanted of each. State and books; nothing here forks.

Commands and the configuration change what is wanted; the plan makes it so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

import msgspec

from supervisor.child import Child
from supervisor.plan import SlotFacts
from supervisor.slot import Paused, Slot
from supervisor.verdict import Verdict
from supervisor.wishes import Wish
from taskqueue.errors import TaskQueueError, did_you_mean


class Pool:
    """The slots of one queue, of several, of the keeper, or of the web server."""

    def __init__(self, wish: Wish, slot_name: Callable[[str, int], str]) -> None:
        self._slot_name = slot_name
        self.wish = wish
        self.wanted = wish.workers
        self.scaled = False
        #: the file does not name it any more: it drains
        self.gone = False
        self.paused: Paused | None = None
        self.slots: dict[int, Slot] = {}
        self._fill()

    @property
    def name(self) -> str:
        """As commands call it."""
        return self.wish.name

    def become(self, wish: Wish) -> None:
        """The file says something else now. A count that was scaled by hand stays until the file's own changes."""
        self.gone = False
        if wish.workers != self.wish.workers:
            self.wanted, self.scaled = wish.workers, False
        if wish.basis != self.wish.basis:
            self.renew()
        self.wish = wish
        self._fill()

    def go(self) -> None:
        """The file does not name it any more: it drains."""
        self.wish = msgspec.structs.replace(self.wish, workers=0)
        self.wanted, self.scaled, self.gone = 0, False, True

    def renew(self) -> None:
        """Replace every process."""
        for slot in self.slots.values():
            slot.renew()

    def scale(self, workers: int) -> None:
        """So many, by hand."""
        self.wanted = workers
        self.scaled = workers != self.wish.workers
        self._fill()

    def _fill(self) -> None:
        generation = max((slot.generation for slot in self.slots.values()), default=0)
        for index in range(self.wanted):
            if index not in self.slots:
                self.slots[index] = Slot(self.name, index, self._slot_name(self.name, index))
                self.slots[index].generation = generation

    @property
    def up(self) -> int:
        """How many of its wanted slots have a process that is ready."""
        return sum(slot.index < self.wanted and slot.up for slot in self.slots.values())

    @property
    def hopeless(self) -> bool:
        """None of its slots can ever start."""
        return all(slot.fatal and not slot.children for slot in self.slots.values())

    def tidy(self) -> None:
        """Forget slots that nobody wants and that are empty. A pause holds, whatever the pool is scaled to (P6)."""
        self.slots = {i: slot for i, slot in self.slots.items() if i < self.wanted or slot.children or slot.paused}


class UnknownTarget(TaskQueueError):
    """No such pool or slot."""


class Fleet:
    """All pools by name, and the processes that have left their slots and are not gone yet."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.pools: dict[str, Pool] = {}
        self.leavers: list[Child] = []
        self.paused: Paused | None = None
        #: the application's modules were imported before the fork
        self.preloaded = False

    def __str__(self) -> str:
        return ",".join(f"{pool.name}={pool.wanted}" for pool in self.pools.values())

    def become(self, wishes: Mapping[str, Wish]) -> None:
        """Want what these say. A pool that is gone has no wanted slots any more."""
        for name, wish in wishes.items():
            if name in self.pools:
                self.pools[name].become(wish)
            else:
                self.pools[name] = Pool(wish, lambda pool, index: f"{self._host}/{pool}/{index}")
        for name, pool in self.pools.items():
            if name not in wishes:
                pool.go()

    @property
    def slots(self) -> Iterator[Slot]:
        """All slots."""
        return (slot for pool in self.pools.values() for slot in pool.slots.values())

    @property
    def children(self) -> list[Child]:
        """All processes."""
        return [*(child for slot in self.slots for child in slot.children), *self.leavers]

    def facts(self, *, stopping: bool, keeping: bool = False) -> list[SlotFacts]:
        """For the plan. On a stop nobody is wanted but, while it has something to do still (`keeping`), the keeper."""
        keepers = self.keepers if keeping else set()
        return [
            slot.facts(wanted=slot.index < pool.wanted and (not stopping or name in keepers))
            for name, pool in self.pools.items()
            for slot in pool.slots.values()
        ]

    @property
    def working(self) -> bool:
        """There are processes that may hold tasks."""
        return any(child.pool not in self.attendants for child in self.children)

    @property
    def settled(self) -> bool:
        """Every wanted slot has a process that is ready, or has had its first chance."""
        return all(slot.up or slot.fatal or slot.failures for slot in self.slots)

    @property
    def keepers(self) -> set[str]:
        """Names of the keeper's pool."""
        return {name for name, pool in self.pools.items() if pool.wish.kind == "keeper"}

    @property
    def attendants(self) -> set[str]:
        """Names of the pools that run no tasks: the keeper's, and the web server's."""
        return {name for name, pool in self.pools.items() if not pool.wish.works}

    @property
    def keepers_children(self) -> list[Child]:
        """The keeper's process, or processes while it is replaced."""
        return [child for slot in self.slots if slot.pool in self.keepers for child in slot.children]

    @property
    def worker_pools(self) -> list[Pool]:
        """Those that run tasks."""
        return [pool for pool in self.pools.values() if pool.wish.works]

    def remember(self, child: Child, verdict: Verdict, now: float, random: Random) -> None:
        """A process has ended."""
        slot = next((slot for slot in self.slots if child in slot.children), None)
        if slot is None:
            self.leavers.remove(child)
        else:
            slot.lose(child)
            slot.ended(child, verdict, now, random)

    def target(self, name: str) -> Pool | Slot:
        """The pool of that name, or the slot ("pool/index"). Raises UnknownTarget."""
        if name in self.pools:
            return self.pools[name]
        pool, _, index = name.rpartition("/")
        if pool in self.pools:
            slots = self.pools[pool].slots.values()
            if (slot := next((slot for slot in slots if str(slot.index) == index), None)) is not None:
                return slot
        if serving := [pool.name for pool in self.worker_pools if name in pool.wish.queues]:
            raise UnknownTarget(f"{name!r} is a queue, and its workers are the pool {' and '.join(map(repr, serving))}")
        known = [name for name, pool in self.pools.items() if not pool.gone]
        hint = did_you_mean(name[:200], known) or f"; there are {', '.join(known)}"
        raise UnknownTarget(f"no pool or slot {name[:200]!r}{hint}")

    def is_paused(self, slot: Slot) -> bool:
        """The host, its pool or the slot itself is paused. Who runs no tasks never is."""
        if slot.pool in self.attendants:
            return False
        return any((self.paused, self.pools[slot.pool].paused, slot.paused))

    def tidy(self) -> None:
        """Forget what is neither wanted nor there. A pool that is gone from the file is shown until its last task."""
        leaving = {child.pool for child in self.leavers}
        for pool in self.pools.values():
            pool.tidy()
        self.pools = {name: pool for name, pool in self.pools.items() if not pool.gone or pool.slots or name in leaving}
