"""What a run's end is made of: from whatever a task does to what is written about it (P7, P9, P12)."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from taskqueue import Report, Retry, Status, TaskCancelled, codec, hooks, task
from taskqueue.clock import SystemClock
from taskqueue.errors import LeaseLost, TaskTimeout, WorkerStopping
from taskqueue.message import Delivery
from taskqueue.queue import Held, Limits
from taskqueue.registry import REGISTRY
from taskqueue.tasklog.entry import Cause, Claim
from taskqueue.worker.outcomes import MAX_REPORT, MAX_TRACEBACK
from taskqueue.worker.run import Run
from taskqueue.worker.runner import Runner
from taskqueue.worker.unpack import unpack

RAISED: list[BaseException] = []


@task(name="runner.raises")
def raises() -> None:
    raise RAISED[-1]


@task(name="runner.raises_twice", retries=2, backoff=10)
def raises_with_retries() -> None:
    raise RAISED[-1]


@task(name="runner.answers")
def answers(kind: str) -> object:
    return {
        "report": Report.warning("look"),
        "error": Report.error("no"),
        "object": object(),
        "huge": "x" * MAX_REPORT,
    }[kind]


def work_of(bound: Any, **claim: Any) -> Any:
    body = codec.encode(bound)
    queue: Any = SimpleNamespace(name="q", limits=Limits())
    given = {"fence": 1, "attempts": 0, "crashes": 0, "cancel_requested": False, "has_children": False} | claim
    held = Held(Delivery(bound.id, body, "1"), Claim(bound.id, **given))
    return unpack(queue, held, REGISTRY, worker="w", lease_end=float("inf"))


def run(bound: Any, **claim: Any) -> Any:
    runner = Runner(SystemClock(), lambda work: Run(work, worker="w", spawn=None, stopping=lambda: False))
    try:
        return runner.run(work_of(bound, **claim))
    finally:
        runner.close()


def end_of(error: BaseException, definition: Any = raises, **claim: Any) -> Any:
    RAISED.append(error)
    return run(definition.bind(), **claim)


def report_of(outcome: Any) -> Report:
    return codec.decode_report(outcome.report)


def test_a_report_stands_as_it_is():
    outcome = run(answers.bind("report"))
    assert (outcome.status, report_of(outcome)) == (Status.COMPLETED, Report.warning("look"))


def test_a_report_with_an_error_means_failed():
    assert run(answers.bind("error")).status is Status.FAILED


@pytest.mark.parametrize("kind", ["object", "huge"])
def test_what_cannot_be_stored_fails_and_says_so(kind):
    outcome = run(answers.bind(kind))
    assert outcome.status is Status.FAILED
    assert "cannot be stored" in report_of(outcome).message


def test_an_exception_is_a_report():
    outcome = end_of(ValueError("no luck"))
    assert (outcome.status, outcome.attempts, outcome.attempt.cause) == (Status.FAILED, 1, Cause.ERROR)
    assert report_of(outcome).message == "ValueError: no luck"
    first = report_of(outcome).data["traceback"].splitlines()[1]
    assert "test_runner.py" in first, "our own frames are left out"


def test_a_long_traceback_is_cut_with_a_note():
    text = report_of(end_of(ValueError("x" * 100_000))).data["traceback"]
    assert len(text) < MAX_TRACEBACK + 100
    assert "characters left out" in text


@pytest.mark.parametrize("text", ["\ud800", "\0", "\x1b[31m"], ids=["surrogate", "nul", "escape"])
def test_an_exception_s_odd_text_can_be_stored(text, monkeypatch):
    # Captured log lines travel between the test processes, which choke on such a text.
    monkeypatch.setattr(logging.getLogger("taskqueue.task"), "disabled", True)
    assert end_of(ValueError(text)).status is Status.FAILED


def test_an_exception_that_cannot_be_shown_is_reported_all_the_same():
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "cannot be shown" in report_of(end_of(Broken())).message


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), MemoryError(), RecursionError()]
)
def test_no_exception_leaves_the_runner(error):
    assert end_of(error).status is Status.FAILED


def test_retries_wait_longer_each_time():
    first = end_of(ValueError("x"), raises_with_retries)
    second = end_of(ValueError("x"), raises_with_retries, attempts=1)
    last = end_of(ValueError("x"), raises_with_retries, attempts=2)
    assert [o.status for o in (first, second, last)] == [Status.ENQUEUED, Status.ENQUEUED, Status.FAILED]
    assert 5 <= first.delay <= 10 <= second.delay <= 20
    assert [o.attempts for o in (first, second, last)] == [1, 2, 3]


def test_a_task_may_ask_for_another_run():
    outcome = end_of(Retry("later", delay=7))
    assert (outcome.status, outcome.delay, outcome.attempt.cause) == (Status.ENQUEUED, 7, Cause.RETRY)


def test_a_timeout_counts_as_a_failure_of_the_task():
    assert end_of(TaskTimeout("over")).attempt.cause is Cause.TIMEOUT


@pytest.mark.parametrize(("error", "cause"), [(LeaseLost("x"), Cause.LEASE_LOST), (WorkerStopping("x"), Cause.STOPPED)])
def test_what_is_no_fault_of_the_task_counts_as_no_attempt(error, cause):
    """P4."""
    outcome = end_of(error, attempts=1)
    assert (outcome.status, outcome.attempts, outcome.delay) == (Status.ENQUEUED, 1, 0.0)
    assert outcome.attempt.cause is cause


def test_a_task_that_agrees_is_cancelled():
    assert end_of(TaskCancelled()).status is Status.CANCELLED


def test_a_task_that_was_cancelled_before_its_start_does_not_start():
    RAISED.append(AssertionError("it started"))
    outcome = run(raises.bind(), cancel_requested=True)
    assert (outcome.status, outcome.attempts) == (Status.CANCELLED, 0)


def test_a_failure_hook_hears_of_it_and_its_own_failure_harms_nobody():
    heard = []

    @hooks.on_failure
    def note(context: Any, report: Report, error: BaseException | None) -> None:
        heard.append((context.name, report.message, error))
        raise RuntimeError("the hook itself")

    try:
        assert end_of(error := ValueError("x")).status is Status.FAILED
    finally:
        hooks.HOOKS.clear()
    assert heard == [("runner.raises", "ValueError: x", error)]
