"""The desk between the lifeline and the task thread: started or given back, never both (R6)."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from taskqueue.clock import SystemClock
from taskqueue.worker.inbox import Inbox, Work

CLOCK = SystemClock()


def work(number: int, *, lease: float = 60.0) -> Work:
    held: Any = SimpleNamespace(delivery=SimpleNamespace(id=str(number)))
    queue: Any = SimpleNamespace(name="q")
    return Work(queue, held, "w", "t", None, False, None, None, 0.0, CLOCK.monotonic() + lease)


@pytest.fixture
def pokes():
    return []


@pytest.fixture
def inbox(pokes):
    return Inbox(CLOCK, lambda: pokes.append(1))


def test_work_is_taken_in_order(inbox):
    inbox.put([work(1), work(2)])
    assert [inbox.take().id, inbox.take().id] == ["1", "2"]


def test_a_closed_inbox_hands_out_nothing(inbox):
    inbox.put([work(1)])
    inbox.close()
    assert inbox.take() is None


def test_the_quota_counts_tasks(inbox):
    inbox.quota = 1
    inbox.put([work(1), work(2)])
    assert inbox.take() is not None
    assert inbox.take() is None
    assert inbox.closed


def test_a_task_whose_lease_has_ended_does_not_start(inbox):
    inbox.put([work(1, lease=-1.0), work(2)])
    assert inbox.take().id == "2"


def test_a_waiting_task_thread_gets_what_comes(inbox, pokes):
    taken = []
    thread = threading.Thread(target=lambda: taken.append(inbox.take()))
    thread.start()
    inbox.put([work(1)])
    thread.join(5)
    assert [w.id for w in taken] == ["1"]


def test_the_lifeline_is_poked_when_half_is_left(inbox, pokes):
    inbox.put([work(n) for n in range(4)])
    inbox.take()
    assert not pokes
    inbox.take()
    assert pokes


def test_withdrawn_work_is_never_taken_as_well(inbox):
    """A thousand tasks, one thread that takes and one that withdraws: each ends in one place."""
    inbox.put([work(n) for n in range(1000)])
    taken, back = [], []

    def take() -> None:
        while (got := inbox.take()) is not None:
            taken.append(got.id)
            inbox.done(got, None)

    thread = threading.Thread(target=take)
    thread.start()
    for n in range(0, 1000, 7):
        back += [w.id for w in inbox.withdraw(keep=lambda w, n=n: w.id != str(n))]
    inbox.close()
    thread.join(5)
    back += [w.id for w in inbox.withdraw()]
    assert sorted(taken + back, key=int) == [str(n) for n in range(1000)]


def test_outcomes_that_could_not_be_stored_come_back_in_order(inbox):
    """P15: finished reports are kept."""
    works = [work(n) for n in range(3)]
    inbox.put(works)
    for _ in works:
        inbox.done(inbox.take(), object())
    first = inbox.collect()
    inbox.put_back(first)
    assert inbox.collect() == first


def test_flushed_waits_until_all_is_stored(inbox):
    inbox.put([work(1)])
    inbox.done(inbox.take(), object())
    thread = threading.Thread(target=inbox.flushed)
    thread.start()
    inbox.collect()
    assert thread.is_alive()
    inbox.stored()
    thread.join(5)
    assert not thread.is_alive()


def test_a_paused_inbox_hands_out_nothing_until_it_is_resumed(inbox):
    """P6, although what it holds could not be given back."""
    inbox.hold(paused=True)
    inbox.put([work(1)])
    taken: list[Any] = []
    thread = threading.Thread(target=lambda: taken.append(inbox.take()))
    thread.start()
    thread.join(0.05)
    assert not taken
    inbox.hold(paused=False)
    thread.join(5)
    assert [one.id for one in taken] == ["1"]


def test_what_could_not_be_given_back_is_first_again(inbox):
    inbox.put([work(1), work(2)])
    back = inbox.withdraw()
    inbox.put([work(3)])
    inbox.restore(back)
    assert [one.id for one in inbox.ready] == ["1", "2", "3"]


def test_only_the_outcomes_of_stores_that_answer_are_collected(inbox):
    inbox.put([work(1), work(2)])
    for _ in range(2):
        taken = inbox.take()
        inbox.done(taken, SimpleNamespace(id=taken.id))
    assert [one.id for one, _ in inbox.collect(lambda one: one.id == "2")] == ["2"]
    assert [one.id for one in inbox.pending] == ["1"]
    assert not inbox.empty


def test_between_two_looks_a_task_is_never_nowhere(inbox):
    """Who sees nothing held and nothing pending may end the worker."""
    inbox.put([work(n) for n in range(2000)])
    done = threading.Event()

    def run() -> None:
        for _ in range(2000):
            taken = inbox.take()
            inbox.done(taken, SimpleNamespace(id=taken.id))
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    seen_empty = False
    while not done.is_set():
        seen_empty = seen_empty or inbox.empty
    thread.join()
    assert not seen_empty


# Signs of life


class Pulse:
    """Counts beats, and lets a test wait for one."""

    def __init__(self) -> None:
        self.count = 0
        self.felt = threading.Condition()

    def __call__(self) -> None:
        with self.felt:
            self.count += 1
            self.felt.notify_all()

    def reaches(self, count: int) -> bool:
        with self.felt:
            return self.felt.wait_for(lambda: self.count >= count, 10)


@pytest.fixture
def pulse(inbox, monkeypatch):
    monkeypatch.setattr("taskqueue.worker.inbox.BEAT", 0.01)
    inbox.beat = Pulse()
    return inbox.beat


def test_a_task_thread_that_waits_gives_signs_of_life(inbox, pulse):
    thread = threading.Thread(target=inbox.take)
    thread.start()
    assert pulse.reaches(5)
    inbox.close()
    thread.join(5)
    assert not thread.is_alive()


def test_the_first_comes_before_it_waits(inbox, pulse, monkeypatch):
    monkeypatch.setattr("taskqueue.worker.inbox.BEAT", 1000.0)
    thread = threading.Thread(target=inbox.take)
    thread.start()
    assert pulse.reaches(1)
    inbox.close()
    thread.join(5)


def test_it_gives_them_while_it_is_paused_too(inbox, pulse):
    inbox.hold(paused=True)
    inbox.put([work(1)])
    thread = threading.Thread(target=inbox.take)
    thread.start()
    assert pulse.reaches(3)
    inbox.hold(paused=False)
    thread.join(5)
    assert inbox.taken == 1


def test_and_while_it_waits_for_its_outcomes_to_be_stored(inbox, pulse):
    inbox.put([work(1)])
    inbox.done(inbox.take(), object())
    thread = threading.Thread(target=inbox.flushed)
    thread.start()
    assert pulse.reaches(3)
    inbox.collect()
    inbox.stored()
    thread.join(5)
    assert not thread.is_alive()


def test_with_work_at_hand_there_is_nothing_to_wait_for(inbox, pulse):
    inbox.put([work(1), work(2)])
    inbox.take()
    inbox.take()
    assert pulse.count == 0
