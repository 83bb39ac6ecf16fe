"""Leases are sized by the work, learnt per task name."""

from __future__ import annotations

import itertools

from taskqueue.worker.pace import MOST, TARGET, Pace


def learnt(seconds: float, *, name: str = "t", times: int = 50) -> Pace:
    pace = Pace()
    for _ in range(times):
        pace.learn(name, seconds)
    return pace


def grown(pace: Pace) -> int:
    limit = 0
    for _ in range(20):
        limit = pace.limit()
    return limit


def test_an_unknown_queue_is_asked_for_one_task():
    assert Pace().limit() == 1


def test_a_batch_is_about_a_tenth_of_a_second_of_work():
    assert grown(learnt(0.01)) == 10


def test_short_tasks_are_leased_by_the_hundred_and_never_beyond_the_most():
    assert grown(learnt(1e-6)) == MOST


def test_long_tasks_are_leased_one_by_one():
    assert grown(learnt(30.0)) == 1


def test_a_batch_at_most_doubles_from_one_to_the_next():
    pace = learnt(0.001)
    limits = [pace.limit() for _ in range(8)]
    assert all(after <= 2 * before for before, after in itertools.pairwise(limits))


def test_nothing_more_is_asked_for_while_a_whole_batch_waits():
    assert learnt(0.001).limit(waiting=TARGET) == 0


def test_a_few_long_tasks_shrink_the_batch_to_one():
    pace = learnt(0.001)
    grown(pace)
    limits = []
    for _ in range(3):
        pace.learn("slow", 5.0)
        limits.append(pace.limit())
    assert limits == [10, 1, 1]


def test_a_short_task_that_was_kept_from_its_processor_shrinks_no_batch():
    pace = learnt(1e-6)
    grown(pace)
    pace.learn("t", 0.05)
    assert pace.limit() == MOST
    assert pace.fitting(["t"] * MOST) == MOST


def test_what_lies_behind_a_known_long_task_does_not_fit():
    pace = learnt(0.001)
    pace.learn("slow", 5.0)
    assert pace.fitting(["t", "t", "slow", "t", "t"]) == 2
    assert pace.fitting(["slow", "t", "t"]) == 1


def test_the_first_task_always_fits():
    assert learnt(60.0).fitting(["t"]) == 1
