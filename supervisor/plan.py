"""What is to be done: a pure function of what is there, what is wanted, and the time.

    slots that are wanted have a process; others have none
    a process of an old generation is replaced by one that is up before the old is told to go
    who does not start in time, or says nothing past its deadline, is ended by force

The master gathers facts, asks, and acts; nothing here knows of signals or forks.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from supervisor.ladder import Rung, Standing

#: of a pool's processes, one in so many (one at least) may be beside its slots while it is rolled: booting, or draining
SPARE = 4
#: seconds past a deadline: workers end what hangs by themselves after 5 s, with a timer in C
PAST_DEADLINE, PAST_LEASE = 7.0, 3.0
INFINITE = float("inf")
#: what can be wrong with a process
HELD_ON = "it held a task past the end of its lease"
NO_START = "it did not start in time ([supervisor] boot_timeout)"
NO_SIGN = "it gave no sign of life past its deadline"


class State(enum.Enum):
    """Of a slot."""

    DOWN = "down"
    BOOT = "boot"
    UP = "up"
    STOPPING = "stopping"
    FATAL = "fatal"


class ProcessFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one process. Times are monotonic; a `deadline` or `lease_end` of 0 is none."""

    pid: int
    pool: str = ""
    generation: int = 0
    up: bool = False
    boot_by: float = INFINITE
    deadline: float = 0.0
    lease_end: float = 0.0
    standing: Standing = Standing()

    @property
    def told(self) -> bool:
        """It was told to go."""
        return self.standing.rung is not Rung.NONE


class SlotFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one slot. `due` is when it may be started; `successor` is to take the place of `current`."""

    key: Any
    pool: str
    wanted: bool = True
    fatal: bool = False
    generation: int = 0
    due: float = 0.0
    current: ProcessFacts | None = None
    successor: ProcessFacts | None = None


class Start(msgspec.Struct, frozen=True):
    """Fork a process for the slot; as `successor` of the one that is there, or as its process."""

    slot: Any
    successor: bool = False


class Promote(msgspec.Struct, frozen=True):
    """The slot's successor takes its place."""

    slot: Any


class Dismiss(msgspec.Struct, frozen=True):
    """Nobody wants this process of the slot any more: it is told to go, without hurry."""

    slot: Any
    pid: int


class Push(msgspec.Struct, frozen=True):
    """Send a process one rung on. `why` says what is wrong with it; empty if it just takes too long to leave."""

    pid: int
    rung: Rung
    why: str = ""


Action = Start | Promote | Dismiss | Push


def plan(
    slots: Sequence[SlotFacts], leavers: Sequence[ProcessFacts], *, now: float, indulgent: bool = False
) -> Iterator[Action]:
    """The next actions. `leavers` have left their slot.

    `indulgent`: this host was frozen, so that nobody is late, but for leases (R3).
    """
    for slot in slots:
        yield from _settle(slot, now)
        for process in (slot.current, slot.successor):
            if process is not None:
                yield from _press(process, now, indulgent=indulgent)
    for process in leavers:
        yield from _press(process, now, indulgent=indulgent)
    yield from _roll(slots, leavers, now)


def due(slots: Sequence[SlotFacts], leavers: Sequence[ProcessFacts]) -> float:
    """When there is something to do even if nothing happens (monotonic; infinity: never).

    What was due and could not be done must not show here, or the master would not rest until it can. Deadlines and
    leases of those who are up move on all the time, and are looked at in between.
    """
    room = _room(slots, leavers)
    moments = [
        slot.due
        for slot in slots
        if slot.wanted and not slot.fatal and (_empty(slot) or (_stale(slot) and room[slot.pool] > 0))
    ]
    for process in [*_processes(slots), *leavers]:
        if process.told:
            moments.append(process.standing.leave_at)
        elif not process.up:
            moments.append(process.boot_by)
    return min(moments, default=INFINITE)


def _settle(slot: SlotFacts, now: float) -> Iterator[Action]:
    """Who is missing is started; who is not wanted is dismissed."""
    if not slot.wanted:
        for process in (slot.current, slot.successor):
            if process is not None and not process.told:
                yield Dismiss(slot.key, process.pid)
    elif slot.successor is not None and (_ready(slot.successor) or slot.current is None):
        yield Promote(slot.key)
    elif slot.current is None and not slot.fatal and now >= slot.due:
        yield Start(slot.key)


def _press(process: ProcessFacts, now: float, *, indulgent: bool) -> Iterator[Action]:
    """Who has to go and does not, and who hangs, is pushed on. Who may take its time over its task may hang as well."""
    standing = process.standing
    if standing.rung <= Rung.TERM and (why := _wrong_with(process, now, indulgent=indulgent)):
        yield Push(process.pid, Rung.ABRT, why)
    elif (rung := standing.next(now)) is not None and not (indulgent and rung < Rung.KILL):
        yield Push(process.pid, rung)


def _wrong_with(process: ProcessFacts, now: float, *, indulgent: bool) -> str:
    if process.lease_end and now >= process.lease_end + PAST_LEASE:
        return HELD_ON
    if indulgent:
        return ""
    if not process.up:
        return NO_START if now >= process.boot_by else ""
    if process.deadline and now >= process.deadline + PAST_DEADLINE:
        return NO_SIGN
    return ""


def _roll(slots: Sequence[SlotFacts], leavers: Sequence[ProcessFacts], now: float) -> Iterator[Action]:
    """Processes of an old generation get successors, a few at a time in each pool."""
    room = _room(slots, leavers)
    for slot in slots:
        ready = slot.wanted and not slot.fatal and _stale(slot) and now >= slot.due
        if ready and room[slot.pool] > 0:
            room[slot.pool] -= 1
            yield Start(slot.key, successor=True)


def _room(slots: Sequence[SlotFacts], leavers: Sequence[ProcessFacts]) -> Counter[str]:
    """How many more processes of each pool may be beside its slots."""
    size = Counter(slot.pool for slot in slots if slot.wanted)
    room = Counter({pool: max(1, count // SPARE) for pool, count in size.items()})
    room.subtract(process.pool for process in leavers)
    for slot in slots:
        # Who is in a slot that nobody wants is about to leave it.
        beside = (slot.successor,) if slot.wanted else (slot.current, slot.successor)
        room[slot.pool] -= sum(process is not None for process in beside)
    return room


def _ready(process: ProcessFacts) -> bool:
    """It can take over: who was told to go in the meantime, since it came up too late, cannot."""
    return process.up and not process.told


def _stale(slot: SlotFacts) -> bool:
    current = slot.current
    return current is not None and current.up and current.generation != slot.generation and slot.successor is None


def _empty(slot: SlotFacts) -> bool:
    return slot.current is None and slot.successor is None


def _processes(slots: Sequence[SlotFacts]) -> list[ProcessFacts]:
    return [process for slot in slots for process in (slot.current, slot.successor) if process is not None]
