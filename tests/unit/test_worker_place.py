"""A worker's place under a master: what it hears, and that it notices when nobody is there any more. Real pipes."""

from __future__ import annotations

import mmap
import os
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from taskqueue.worker.guard import Guard
from taskqueue.worker.place import Ear, Place, Wanted, drain
from taskqueue.worker.scorecard import SIZE, Card, Scorecard


class Life:
    """A life pipe, and what stands to be heard at its other end."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        os.set_blocking(self.read, False)
        self.wanted = Wanted()
        self.titles: list[str] = []
        self.memory = mmap.mmap(-1, SIZE)
        scorecard = Scorecard(self.memory)
        scorecard.write(Card(incarnation="i"))
        self.place = Place(
            name="host/mail/0",
            scorecard=scorecard,
            life=self.read,
            stacks=-1,
            wanted=lambda: self.wanted,
            title=self.titles.append,
        )

    def say(self, wanted: Wanted) -> None:
        self.wanted = wanted
        os.write(self.write, b"\0")

    def end(self) -> None:
        write, self.write = self.write, -1
        if write >= 0:
            os.close(write)


@pytest.fixture
def life():
    life = Life()
    yield life
    life.end()
    os.close(life.read)


class Listener:
    """Notes what an ear hears."""

    def __init__(self, life: Life) -> None:
        self.news = threading.Condition()
        self.heard: list[Wanted] = []
        self.orphaned = 0
        self.ear = Ear(life.place, heard=self.hear, orphaned=self.orphan)

    def hear(self, wanted: Wanted) -> None:
        with self.news:
            self.heard.append(wanted)
            self.news.notify_all()

    def orphan(self) -> None:
        with self.news:
            self.orphaned += 1
            self.news.notify_all()

    def has(self, wanted: Wanted) -> bool:
        with self.news:
            return self.news.wait_for(lambda: wanted in self.heard, 10)


@pytest.fixture
def listener(life):
    listener = Listener(life)
    listener.ear.start()
    yield listener
    if listener.ear.is_alive():
        listener.ear.stop()
    assert not listener.ear.is_alive()


# The life pipe


def test_what_rang_is_read_and_more_is_waited_for(life):
    assert drain(life.read), "nothing rang"
    os.write(life.write, b"\0" * 3)
    assert drain(life.read)
    with pytest.raises(BlockingIOError):
        os.read(life.read, 1)


def test_the_end_of_the_pipe_is_the_end_of_the_master(life):
    os.write(life.write, b"\0")
    life.end()
    assert drain(life.read), "what rang before comes first"
    assert not drain(life.read)
    assert not drain(life.read)


# The ear


def test_it_hears_what_is_wanted_when_it_is_rung_for(life, listener):
    for wanted in (Wanted(paused=True), Wanted(paused_queues=frozenset({"mail"})), Wanted()):
        life.say(wanted)
        assert listener.has(wanted)


def test_the_end_of_the_master_is_heard_once(life, listener, caplog):
    life.end()
    with listener.news:
        assert listener.news.wait_for(lambda: listener.orphaned and listener.heard, 10)
    listener.ear.stop()
    assert listener.orphaned == 1
    assert caplog.text.count("the supervisor is gone") == 1


def test_a_look_needs_no_thread(life):
    listener = Listener(life)
    life.wanted = Wanted(paused=True)
    listener.ear.do()
    assert listener.heard == [Wanted(paused=True)]
    listener.ear.stop()


def test_an_ear_leaves_no_descriptor(life):
    before = len(os.listdir("/proc/self/fd"))
    for started in (True, False):
        ear = Listener(life).ear
        if started:
            ear.start()
        ear.stop()
    assert len(os.listdir("/proc/self/fd")) == before


# The guard, who shows the master what is held


class Held:
    """A crew with one guard, a desk that says what is held, and a clock by hand."""

    def __init__(self, life: Life | None) -> None:
        self.now = 100.0
        self.armed: list[tuple[Any, list[Any], float | None]] = []
        self.inbox: Any = SimpleNamespace(current=None, held=[])
        place = life.place if life else None
        self.crew: Any = SimpleNamespace(
            place=place,
            clock=SimpleNamespace(monotonic=lambda: self.now),
            watch=SimpleNamespace(
                look=lambda _: None, arm=self.arm, disarm=lambda: self.armed.append((None, [], None))
            ),
            note=place.scorecard.update if place else lambda **_: None,
        )
        self.guard = Guard(self.crew, self.inbox)

    def arm(self, current: Any, unstarted: list[Any], *, lease_end: float | None) -> None:
        self.armed.append((current, unstarted, lease_end))

    def hold(self, *lease_ends: float, running: bool = False) -> None:
        works = [SimpleNamespace(name="shop:mail", id=f"t{n}", lease_end=end) for n, end in enumerate(lease_ends)]
        self.inbox.held = works
        self.inbox.current = works[0] if running else None


@pytest.fixture
def held(life):
    return Held(life)


def card(life: Life) -> Card:
    found = life.place.scorecard.read()
    assert found is not None
    return found


def test_the_earliest_lease_is_shown_and_armed_for(held, life):
    held.hold(160.0, 130.0, 190.0, running=True)
    assert held.guard.look()
    assert card(life).lease_end == 130.0
    assert held.armed == [(held.inbox.held[0], held.inbox.held[1:], 130.0)]


def test_while_nothing_is_held_there_is_no_lease_and_the_guard_may_sleep(held, life):
    held.hold(160.0)
    held.guard.look()
    held.hold()
    assert not held.guard.look()
    assert card(life).lease_end == 0.0
    assert held.armed[-1] == (None, [], None)


def test_what_is_about_to_be_held_is_armed_for_before_it_is(held):
    held.hold(160.0)
    more = [SimpleNamespace(lease_end=120.0)]
    held.guard.arm(more)
    assert held.armed == [(None, [*held.inbox.held, *more], 120.0)]


def test_a_lease_that_has_ended_does_not_hide_one_that_goes_on(held, life):
    held.hold(90.0, 150.0)
    assert held.guard.look()
    assert card(life).lease_end == 150.0


def test_who_looks_lives_although_all_its_leases_have_ended(held, life):
    """The master ends those who show a lease that ended a while ago: who cannot look."""
    held.hold(90.0)
    assert held.guard.look()
    assert card(life).lease_end == 100.0


def test_people_see_what_it_does_once_each(held, life):
    held.guard.look()
    held.hold(160.0, running=True)
    for _ in range(3):
        held.guard.look()
    held.hold(160.0)
    held.guard.look()
    assert life.titles == ["idle", "running shop:mail t0", "idle"]


def test_its_memory_is_weighed_now_and_then(held, life):
    held.guard.look()
    weighed = card(life).memory
    assert weighed > 1000
    life.place.scorecard.update(memory=1)
    held.now += 4.9
    held.guard.look()
    assert card(life).memory == 1
    held.now += 0.1
    held.guard.look()
    assert card(life).memory > 1000


def test_a_worker_that_runs_alone_has_nobody_to_show_it_to():
    alone = Held(None)
    alone.hold(160.0, running=True)
    assert alone.guard.look()


def test_the_thread_looks_when_something_is_held_and_disarms_at_its_end(held):
    looked = threading.Event()
    held.crew.watch.look = lambda current: looked.set() if current else None
    held.guard.start()
    held.hold(160.0, running=True)
    held.guard.wake()
    assert looked.wait(10)
    held.guard.stop()
    assert not held.guard.is_alive()
    assert held.armed[-1] == (None, [], None)
