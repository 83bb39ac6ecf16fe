"""A little world that does what the plan says: whatever befalls it, it comes to be as wanted; nobody is harmed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.ladder import Rung, Standing
from supervisor.plan import (
    INFINITE,
    PAST_DEADLINE,
    SPARE,
    Action,
    Dismiss,
    ProcessFacts,
    Promote,
    Push,
    SlotFacts,
    Start,
    due,
    plan,
)

BOOT_TIMEOUT, FLOOR = 30.0, 0.5
NEVER = float("inf")


@dataclass(frozen=True)
class Character:
    """How a process behaves: how long it boots, and works on after TERM; which rungs do not end it."""

    boots: float = 0.1
    leaves: float = 0.1
    deaf_to: frozenset[Rung] = frozenset()


GOOD = Character()


@dataclass
class Process:
    pid: int
    pool: str
    generation: int
    character: Character
    started: float
    boot_by: float
    standing: Standing = field(default_factory=Standing)
    deadline: float = 0.0
    ends_at: float = NEVER

    def up(self, now: float) -> bool:
        return now >= self.started + self.character.boots

    def facts(self, now: float) -> ProcessFacts:
        return ProcessFacts(
            pid=self.pid,
            pool=self.pool,
            generation=self.generation,
            up=self.up(now),
            boot_by=self.boot_by,
            deadline=self.deadline,
            standing=self.standing,
        )

    def faulty(self, now: float) -> bool:
        late = not self.up(now) and now >= self.boot_by
        return late or bool(self.up(now) and self.deadline and now >= self.deadline + PAST_DEADLINE)

    def tell(self, rung: Rung, now: float, until: float) -> None:
        self.standing = Standing(rung, now, until)
        if rung in self.character.deaf_to or (rung is Rung.TERM and self.deadline):
            return
        after = {Rung.TERM: self.character.leaves, Rung.NOW: 1.0, Rung.ABRT: 0.1, Rung.KILL: 0.01}[rung]
        self.ends_at = min(self.ends_at, now + max(after, 0.01))


@dataclass(eq=False)
class Place:
    pool: str
    index: int
    generation: int = 0
    due: float = 0.0
    fatal: bool = False
    current: Process | None = None
    successor: Process | None = None

    @property
    def processes(self) -> list[Process]:
        return [process for process in (self.current, self.successor) if process is not None]


class World:
    def __init__(self, sizes: dict[str, int], characters: Iterator[Character]) -> None:
        self.now = 1000.0
        self.wanted = dict(sizes)
        self.places = [Place(pool, index) for pool in sizes for index in range(8)]
        self.leavers: list[Process] = []
        self.patience = INFINITE
        self.characters = characters
        self.pids = itertools.count(1)

    # What is there

    @property
    def processes(self) -> list[Process]:
        return [*(process for place in self.places for process in place.processes), *self.leavers]

    def is_wanted(self, place: Place) -> bool:
        return place.index < self.wanted[place.pool]

    def facts(self) -> tuple[list[SlotFacts], list[ProcessFacts]]:
        slots = [
            SlotFacts(
                key=place,
                pool=place.pool,
                wanted=self.is_wanted(place),
                fatal=place.fatal,
                generation=place.generation,
                due=place.due,
                current=place.current.facts(self.now) if place.current else None,
                successor=place.successor.facts(self.now) if place.successor else None,
            )
            for place in self.places
        ]
        return slots, [process.facts(self.now) for process in self.leavers]

    # What happens

    def settle(self, *, until: float) -> None:
        """Let time pass as a master lets it: to the next thing that is due, or that happens, or that it looks for."""
        for _ in range(1000):
            while actions := list(plan(*self.facts(), now=self.now)):
                for action in actions:
                    self.do(action)
            moment = due(*self.facts())
            assert moment > self.now, "the master would never rest"
            events = [t for p in self.processes for t in (p.ends_at, p.started + p.character.boots) if t > self.now]
            looks = [self.now + 1.0] if any(process.deadline for process in self.processes) else []
            following = min([moment, *events, *looks])
            if following == NEVER or following > until:
                self.now = until if until < NEVER else self.now
                return
            self.now = following
            for process in [process for process in self.processes if self.now >= process.ends_at]:
                self.end(process)
        raise AssertionError("it does not come to rest")

    def end(self, process: Process, *, hopeless: bool = False) -> None:
        if process in self.leavers:
            self.leavers.remove(process)
        for place in self.places:
            if process in place.processes:
                place.current = None if place.current is process else place.current
                place.successor = None if place.successor is process else place.successor
                place.due = max(self.now, process.started + FLOOR)
                place.fatal = hopeless

    # What the plan says, and what it must never say

    def do(self, action: Action) -> None:
        match action:
            case Start(place, successor):
                self.start(place, successor=successor)
            case Promote(place):
                self.promote(place)
            case Dismiss(place, pid):
                self.dismiss(place, pid)
            case Push(pid, rung, _):
                process = next(process for process in self.processes if process.pid == pid)
                assert process.standing.rung is not Rung.NONE or process.faulty(self.now), "a healthy one is harmed"
                assert rung > process.standing.rung
                process.tell(rung, self.now, process.standing.until)

    def start(self, place: Place, *, successor: bool) -> None:
        assert self.is_wanted(place)
        assert not place.fatal
        assert self.now >= place.due
        assert place.successor is None
        process = Process(
            next(self.pids), place.pool, place.generation, next(self.characters), self.now, self.now + BOOT_TIMEOUT
        )
        if not successor:
            assert place.current is None, "two in one slot"
            place.current = process
            return
        assert place.current is not None
        assert place.current.generation != place.generation
        place.successor = process
        beside = [p for p in self.leavers if p.pool == place.pool]
        beside += [p.successor for p in self.places if p.pool == place.pool and p.successor is not None]
        assert len(beside) <= max(1, self.wanted[place.pool] // SPARE), "more beside their slots than may be"

    def promote(self, place: Place) -> None:
        before, place.current, place.successor = place.current, place.successor, None
        assert place.current is not None
        if before is not None:
            assert place.current.up(self.now), "the old one goes before the new one is up"
            assert place.current.standing.rung is Rung.NONE
            self.leave(before)

    def dismiss(self, place: Place, pid: int) -> None:
        assert not self.is_wanted(place), "one that is wanted is sent away"
        process = next(process for process in place.processes if process.pid == pid)
        place.current = None if place.current is process else place.current
        place.successor = None if place.successor is process else place.successor
        self.leave(process)

    def leave(self, process: Process) -> None:
        self.leavers.append(process)
        if process.standing.rung is Rung.NONE:
            process.tell(Rung.TERM, self.now, self.now + self.patience)


characters = st.builds(
    Character,
    boots=st.sampled_from([0.0, 0.1, 0.1, 3.0, NEVER]),
    leaves=st.sampled_from([0.0, 0.1, 7.0, 100.0]),
    deaf_to=st.frozensets(st.sampled_from([Rung.NOW, Rung.ABRT])),
)
number = st.integers(0, 50)
pool = st.sampled_from(["mail", "reports"])
#: what befalls the world
blow = st.one_of(
    st.tuples(st.just("passes"), st.sampled_from([0.05, 1.0, 10.0, 60.0])),
    st.tuples(st.just("dies"), number),
    st.tuples(st.just("hopeless"), number),
    st.tuples(st.just("hangs"), number),
    st.tuples(st.just("rolls"), pool),
    st.tuples(st.just("scales"), pool, st.integers(0, 8)),
)


def hang(process: Process, now: float) -> None:
    """It says nothing more, and does not hear TERM. Who was told more than that already goes on to its end."""
    if process.standing.rung <= Rung.TERM:
        process.deadline, process.ends_at = now, NEVER


def suffer(world: World, what: str, *how: object) -> None:
    match what, how:
        case "passes", (float(seconds),):
            world.settle(until=world.now + seconds)
        case "rolls", (str(name),):
            for place in world.places:
                if place.pool == name:
                    place.generation, place.fatal, place.due = place.generation + 1, False, 0.0
        case "scales", (str(name), int(size)):
            world.wanted[name] = size
        case _, (int(index),) if world.processes:
            process = world.processes[index % len(world.processes)]
            if what == "hangs":
                hang(process, world.now)
            else:
                world.end(process, hopeless=what == "hopeless")


@settings(max_examples=60)
@given(
    sizes=st.fixed_dictionaries({"mail": st.integers(0, 8), "reports": st.integers(0, 3)}),
    cast=st.lists(characters, max_size=30),
    blows=st.lists(blow, max_size=25),
)
def test_the_world_comes_to_be_as_it_is_wanted(sizes, cast, blows):
    world = World(sizes, itertools.chain(cast, itertools.repeat(GOOD)))
    for what, *how in blows:
        suffer(world, what, *how)
    world.characters = itertools.repeat(GOOD)
    world.settle(until=NEVER)
    for place in world.places:
        if not world.is_wanted(place):
            assert not place.processes
        elif not place.fatal:
            (process,) = place.processes
            assert process.up(world.now)
            assert process.generation == place.generation
            assert process.standing.rung is Rung.NONE
    assert not world.leavers


@settings(max_examples=15)
@given(cast=st.lists(characters, min_size=1, max_size=12), size=st.integers(1, 8), grace=st.sampled_from([0.0, 5.0]))
def test_a_stop_ends_everybody_in_time(cast, size, grace):
    world = World({"mail": size}, itertools.cycle(cast))
    world.settle(until=world.now + 1.0)
    world.wanted["mail"], world.patience = 0, grace
    told = world.now
    world.settle(until=NEVER)
    assert not world.processes
    assert world.now - told <= max(grace, 0.3) + 1.5 + 1.0 + 0.1


def test_a_pool_that_is_rolled_never_has_less_than_its_workers_up():
    world = World({"mail": 8}, itertools.repeat(Character(boots=2.0, leaves=30.0)))
    world.settle(until=world.now + 10)
    suffer(world, "rolls", "mail")
    while any(process.generation == 0 for process in world.processes):
        world.settle(until=world.now + 0.5)
        assert sum(process.up(world.now) for place in world.places for process in place.processes) >= 8
        assert len(world.processes) <= 8 + 8 // SPARE
