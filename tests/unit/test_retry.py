from __future__ import annotations

from datetime import timedelta

import pytest

from taskqueue.errors import LeaseLost, Retry, TaskCancelled, TaskTimeout, WorkerStopping
from taskqueue.options import TaskOptions
from taskqueue.registry import Definition
from taskqueue.retry import asked_delay, failures, next_delay, wants_retry
from taskqueue.task import task


@task(retry_on=ConnectionError)
def fetch() -> None: ...


@task
def anything() -> None: ...


THRICE = TaskOptions(retries=3)


def wants(
    error: BaseException, *, failure: int = 1, options: TaskOptions = THRICE, of: Definition | None = None
) -> bool:
    return wants_retry(error, of or anything.definition, options, failure)


def test_a_task_is_run_again_as_often_as_it_says() -> None:
    """P9."""
    assert [wants(ValueError(), failure=n) for n in (1, 2, 3, 4)] == [True, True, True, False]


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
    assert wants(Retry(), options=TaskOptions(), failure=1000)
    assert wants(Retry(), of=fetch.definition)


def test_a_said_limit_holds_for_those_who_ask_too() -> None:
    assert wants(Retry(), failure=3)
    assert not wants(Retry(), failure=4)


def delays(options: TaskOptions, random: float = 1.0) -> list[float]:
    return [next_delay(options, failure, lambda: random) for failure in (1, 2, 3, 4)]


def test_each_wait_is_longer_up_to_the_cap() -> None:
    assert delays(TaskOptions(backoff=10, backoff_factor=3, backoff_max=100)) == [10, 30, 90, 100]
    assert delays(TaskOptions()) == [1, 2, 4, 8]


def test_jitter_spares_up_to_half() -> None:
    assert delays(TaskOptions(backoff=10, backoff_factor=1), random=0.0) == [5, 5, 5, 5]


def test_the_thousandth_attempt_waits_no_longer_than_the_cap() -> None:
    assert next_delay(TaskOptions(backoff_factor=1e6), 1000, lambda: 1.0) == 600
    assert next_delay(TaskOptions(backoff=0, backoff_factor=1e6), 1000, lambda: 1.0) == 0


def test_what_ended_with_its_worker_is_no_failure_of_the_task() -> None:
    assert [failures(1, 0), failures(3, 0), failures(3, 2)] == [1, 3, 1]
    assert failures(1, 3) == 1, "the last one failed, whatever was counted"


@pytest.mark.parametrize(
    ("delay", "seconds"), [(None, None), (0, 0), (1.5, 1.5), (10**9, 1e9), (timedelta(minutes=2), 120)]
)
def test_a_retry_waits_for_seconds_or_a_timedelta(delay: float | timedelta | None, seconds: float | None) -> None:
    assert asked_delay(Retry(delay=delay)) == seconds


TOO_ODD = [float("inf"), float("nan"), 1e30, 10**400, -1, timedelta(days=20_000), timedelta(seconds=-1)]


@pytest.mark.parametrize("delay", TOO_ODD, ids=lambda delay: str(delay)[:20])
def test_a_delay_that_cannot_be_waited_for_is_refused(delay: float | timedelta) -> None:
    with pytest.raises(ValueError, match=r"its delay is .* seconds; it goes from 0 to 1e\+09"):
        Retry(delay=delay)


@pytest.mark.parametrize("delay", ["30", True, [30], 1j])
def test_a_delay_of_another_type_is_refused(delay: object) -> None:
    with pytest.raises(TypeError, match="seconds or a timedelta, not of type"):
        Retry(delay=delay)  # type: ignore[arg-type]  # what is tested


def test_a_retry_s_message_is_text_and_its_delay_is_said_by_name() -> None:
    with pytest.raises(TypeError, match=r"must be text; .*Retry\(delay=30\)"):
        Retry(30)  # type: ignore[arg-type]  # what is tested


def test_a_delay_that_was_set_later_is_looked_at_again() -> None:
    late = Retry()
    late.delay = float("inf")
    with pytest.raises(ValueError, match="its delay is inf seconds"):
        asked_delay(late)


def test_an_application_s_own_retry_need_not_call_ours() -> None:
    class Later(Retry):
        def __init__(self) -> None:
            pass

    assert asked_delay(Later()) is None
    assert asked_delay(ValueError()) is None
