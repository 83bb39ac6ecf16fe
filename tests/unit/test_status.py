from __future__ import annotations

import itertools

import pytest

from taskqueue.errors import InvalidTransition
from taskqueue.status import ENDED, NEXT, OPEN, Status, can_become, check, sources

S = Status


def test_the_stored_numbers_never_change() -> None:
    assert {status.label: int(status) for status in S} == {
        "enqueued": 0,
        "dequeued": 1,
        "running": 2,
        "child_running": 3,
        "completed": 4,
        "failed": 5,
        "cancelled": 6,
        "archived": 7,
    }


def test_every_status_has_its_steps() -> None:
    assert set(NEXT) == set(S)


def test_a_status_is_open_or_ended() -> None:
    assert set(OPEN) | set(ENDED) == set(S)
    assert not set(OPEN) & set(ENDED)
    assert [status.ended for status in OPEN] == [False] * 4


@pytest.mark.parametrize(("present", "following"), list(itertools.product(ENDED, S)))
def test_what_has_ended_is_only_put_away(present: Status, following: Status) -> None:
    assert can_become(present, following) == (following is S.ARCHIVED and present is not S.ARCHIVED)


def test_a_task_may_start_and_end_between_two_writes() -> None:
    for end in (S.COMPLETED, S.FAILED, S.CANCELLED, S.CHILD_RUNNING):
        assert can_become(S.DEQUEUED, end)
    assert not can_become(S.ENQUEUED, S.COMPLETED)


def test_only_what_has_ended_is_archived() -> None:
    assert sources(S.ARCHIVED) == (S.COMPLETED, S.FAILED, S.CANCELLED)


def test_a_step_that_is_not_in_the_table_is_refused() -> None:
    check("42", S.ENQUEUED, S.DEQUEUED)
    with pytest.raises(InvalidTransition, match="entry 42 is completed and cannot become running"):
        check("42", S.COMPLETED, S.RUNNING)


def test_labels_are_read_and_written_alike() -> None:
    for status in S:
        assert Status.parse(status.label) is status
    with pytest.raises(ValueError, match="unknown status 'done'; known: enqueued, dequeued"):
        Status.parse("done")


def test_categories_are_the_six_for_people() -> None:
    assert {status.category for status in S} == {
        "created",
        "in_progress",
        "completed",
        "failed",
        "cancelled",
        "archived",
    }
