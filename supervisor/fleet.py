"""The fleet of this host: its pools, their slots, and what is wanted of each. State and books; nothing here forks.

Commands and the configuration change what is wanted; the plan makes it so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

import msgspec

from supervisor import backoff
from supervisor.child import Child
from supervisor.plan import SlotFacts
from supervisor.verdict import Kind, Verdict
from supervisor.wishes import Wish
from taskqueue.errors import TaskQueueError, did_you_mean


class Paused(msgspec.Struct, frozen=True):
    """That somebody has paused this; since when, in seconds since 1970."""

    by: str
    since: float


class Slot:
    """A worker's place, which outlives its processes."""

    def __init__(self, pool: str, index: int, name: str) -> None:
        self.pool = pool
        self.index = index
        self.name = name
        self.current: Child | None = None
        #: a process of a newer generation that is to take over once it is up
        self.successor: Child | None = None
        #: what a new process of it is numbered
        self.generation = 0
        self.failures = 0
        self.due = 0.0
        self.fatal = False
        self.paused: Paused | None = None
        #: USR2 was sent to its process, which a new one takes over
        self.paused_by_signal = False
        #: deaths that nobody ordered
        self.restarts = 0
        self.note = ""
        self.noted_at = 0.0

    def facts(self, *, wanted: bool) -> SlotFacts:
        """What the plan needs to know."""
        return SlotFacts(
            key=self,
            pool=self.pool,
            wanted=wanted,
            fatal=self.fatal,
            generation=self.generation,
            due=self.due,
            current=self.current.facts() if self.current else None,
            successor=self.successor.facts() if self.successor else None,
        )

    @property
    def children(self) -> list[Child]:
        """Its processes."""
        return [child for child in (self.current, self.successor) if child is not None]

    @property
    def up(self) -> bool:
        """Its process is ready."""
        return self.current is not None and self.current.up

    def seat(self, child: Child, *, successor: bool) -> None:
        """A process was forked for it."""
        if successor:
            self.successor = child
        else:
            self.current = child

    def promote(self) -> Child | None:
        """Let the successor take over; who was there before."""
        before, self.current, self.successor = self.current, self.successor, None
        # USR2 or CONT may have come to the old one since the new one was forked.
        if (new := self.current) is not None and new.card is not None and new.card.paused is not self.paused_by_signal:
            new.pause_by_signal(paused=self.paused_by_signal)
        return before

    def resume_process(self) -> None:
        """Take back what USR2 said to its process."""
        self.paused_by_signal = False
        for child in self.children:
            if (card := child.card) is not None and card.paused:
                child.pause_by_signal(paused=False)

    def lose(self, child: Child) -> None:
        """That process is no longer its own. What USR2 said to it last holds for the next one (P6)."""
        if child is self.current:
            self.current = None
            if (card := child.card) is not None:
                self.paused_by_signal = card.paused
        if child is self.successor:
            self.successor = None

    def renew(self) -> None:
        """Processes that are there are of an old generation now; what was hopeless is tried again."""
        self.generation += 1
        self.fatal = False
        self.failures, self.due = 0, 0.0

    def ended(self, child: Child, verdict: Verdict, now: float, random: Random) -> None:
        """Note the end of a process of it, and when the next one is due."""
        self.note, self.noted_at = verdict.cause, now
        card = child.card
        if (card is not None and card.done) or now >= child.started + backoff.HEALTHY:
            self.failures = 0
        self.due = max(now, child.started + backoff.FLOOR)
        if verdict.kind is Kind.CANNOT:
            self.fatal = True
        elif verdict.kind is Kind.FAILED:
            self.failed(now, random)
            self.restarts += 1

    def failed(self, now: float, random: Random) -> None:
        """It did not work once more."""
        self.failures += 1
        self.due = max(self.due, now + backoff.delay(self.failures, random))


class Pool:
    """The slots of one queue, of several, or of the keeper."""

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
        """Forget slots that nobody wants and that are empty."""
        self.slots = {i: slot for i, slot in self.slots.items() if i < self.wanted or slot.children}


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

    def facts(self, *, stopping: bool) -> list[SlotFacts]:
        """For the plan. On a stop nobody is wanted, and the keeper last: it gives back what the others held."""
        workers = any(child.pool not in self.keepers for child in self.children)
        return [
            slot.facts(wanted=slot.index < pool.wanted and not (stopping and not (workers and name in self.keepers)))
            for name, pool in self.pools.items()
            for slot in pool.slots.values()
        ]

    @property
    def settled(self) -> bool:
        """Every wanted slot has a process that is ready, or has had its first chance."""
        return all(slot.up or slot.fatal or slot.failures for slot in self.slots)

    @property
    def keepers(self) -> set[str]:
        """Names of the keeper's pool."""
        return {name for name, pool in self.pools.items() if pool.wish.kind == "keeper"}

    @property
    def keepers_children(self) -> list[Child]:
        """The keeper's process, or processes while it is replaced."""
        return [child for slot in self.slots if slot.pool in self.keepers for child in slot.children]

    @property
    def worker_pools(self) -> list[Pool]:
        """All but the keeper's."""
        return [pool for pool in self.pools.values() if pool.wish.kind != "keeper"]

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
        known = [name for name, pool in self.pools.items() if not pool.gone]
        hint = did_you_mean(name[:200], known) or f"; there are {', '.join(known)}"
        raise UnknownTarget(f"no pool or slot {name[:200]!r}{hint}")

    def is_paused(self, slot: Slot) -> bool:
        """The host, its pool or the slot itself is paused. The keeper never is."""
        if slot.pool in self.keepers:
            return False
        return any((self.paused, self.pools[slot.pool].paused, slot.paused))

    def tidy(self) -> None:
        """Forget what is neither wanted nor there."""
        for pool in self.pools.values():
            pool.tidy()
        drained = self.pools.keys() - {child.pool for child in self.leavers}
        self.pools = {n: p for n, p in self.pools.items() if not (p.gone and n in drained and not p.slots)}
