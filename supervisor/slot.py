"""A worker's place under the master: it outlives its processes, and knows when the next one is due."""

from __future__ import annotations

from random import Random

import msgspec

from supervisor import backoff
from supervisor.child import Child
from supervisor.plan import SlotFacts
from supervisor.verdict import Kind, Verdict


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
        card = child.card
        if (card is not None and card.done) or now >= child.started + backoff.HEALTHY:
            self.failures = 0
        self.due = max(now, child.started + backoff.FLOOR)
        if verdict.kind is not Kind.LEFT:
            self.note, self.noted_at = verdict.cause, now
        if verdict.kind is Kind.CANNOT:
            self.fatal = True
        elif verdict.kind is Kind.FAILED:
            self.failed(now, random)
            self.restarts += 1

    def failed(self, now: float, random: Random) -> None:
        """It did not work once more."""
        self.failures += 1
        self.due = max(self.due, now + backoff.delay(self.failures, random))
