from __future__ import annotations

import pytest

from taskqueue.errors import LeaseLost, Retry, TaskCancelled, TaskTimeout, WorkerStopping
from taskqueue.options import TaskOptions
from taskqueue.registry import Definition
from taskqueue.retry import next_delay, wants_retry
from taskqueue.task import task


@task(retry_on=ConnectionError)
def fetch() -> None: ...


@task
def anything() -> None: ...


THRICE = TaskOptions(retries=3)


def wants(
    error: BaseException, *, attempt: int = 1, options: TaskOptions = THRICE, of: Definition | None = None
) -> bool:
    return wants_retry(error, of or anything.definition, options, attempt)


def test_a_task_is_run_again_as_often_as_it_says() -> None:
    """P9."""
    assert [wants(ValueError(), attempt=n) for n in (1, 2, 3, 4)] == [True, True, True, False]


def test_without_retries_a_failure_is_final() -> None:
    assert not wants(ValueError(), options=TaskOptions())


def test_only_named_errors_are_worth_another_attempt() -> None:
    assert wants(ConnectionResetError(), of=fetch.definition)
    assert not wants(ValueError(), of=fetch.definition)
    assert not wants(TaskTimeout(), of=fetch.definition)


def test_a_time_limit_is_worth_another_attempt() -> None:
    assert wants(TaskTimeout())


@pytest.mark.parametrize("error", [LeaseLost(), TaskCancelled(), WorkerStopping(), SystemExit(1), KeyboardInterrupt()])
def test_what_is_no_failure_of_the_task_is_no_reason(error: BaseException) -> None:
    assert not wants(error)


def test_a_task_that_asks_for_another_run_gets_it() -> None:
    assert wants(Retry(), options=TaskOptions(), attempt=1000)
    assert wants(Retry(), of=fetch.definition)


def test_a_said_limit_holds_for_those_who_ask_too() -> None:
    assert wants(Retry(), attempt=3)
    assert not wants(Retry(), attempt=4)


def delays(options: TaskOptions, random: float = 1.0) -> list[float]:
    return [next_delay(options, attempt, lambda: random) for attempt in (1, 2, 3, 4)]


def test_each_wait_is_longer_up_to_the_cap() -> None:
    assert delays(TaskOptions(backoff=10, backoff_factor=3, backoff_max=100)) == [10, 30, 90, 100]
    assert delays(TaskOptions()) == [1, 2, 4, 8]


def test_jitter_spares_up_to_half() -> None:
    assert delays(TaskOptions(backoff=10, backoff_factor=1), random=0.0) == [5, 5, 5, 5]


def test_the_thousandth_attempt_waits_no_longer_than_the_cap() -> None:
    assert next_delay(TaskOptions(backoff_factor=1e6), 1000, lambda: 1.0) == 600
    assert next_delay(TaskOptions(backoff=0, backoff_factor=1e6), 1000, lambda: 1.0) == 0
