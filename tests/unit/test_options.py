from __future__ import annotations

from typing import Any

import pytest

from taskqueue.errors import InvalidArguments
from taskqueue.options import NOTHING_SAID, EnqueueOptions, TaskOptions, merge


def test_what_is_said_above_counts() -> None:
    over, under = TaskOptions(retries=0, timeout=5), TaskOptions(retries=3, queue="mail")
    assert merge(over, under) == TaskOptions(retries=0, timeout=5, queue="mail")


def test_nothing_said_changes_nothing() -> None:
    said = TaskOptions(retries=3)
    assert merge(NOTHING_SAID, said) is said
    assert merge(said, TaskOptions()) is said


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"priority": 10}, "option priority is 10; it goes from 0 to 9"),
        ({"retries": -1}, "option retries is -1"),
        ({"retries": "3"}, "option retries is '3'; it must be a whole number"),
        ({"retries": True}, "option retries is True; it must be a whole number"),
        ({"timeout": 0}, "option timeout is 0"),
        ({"delay": float("nan")}, "option delay is nan"),
        ({"backoff_factor": 0.5}, "option backoff_factor is 0.5; it goes from 1"),
    ],
)
def test_values_out_of_range_are_refused(option: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArguments, match=reason):
        TaskOptions(**option)


def test_every_option_can_be_said_at_the_enqueue() -> None:
    assert set(TaskOptions.__struct_fields__) <= set(EnqueueOptions.__annotations__)
