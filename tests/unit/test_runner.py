"""What a run's end is made of: from whatever a task does to what is written about it (P7, P9, P12)."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from taskqueue import AbstractTask, InvalidArguments, Report, Retry, Status, TaskCancelled, codec, hooks, task
from taskqueue.clock import SystemClock
from taskqueue.errors import LeaseLost, TaskTimeout, WorkerStopping
from taskqueue.message import Delivery
from taskqueue.queue import Held, Limits
from taskqueue.registry import REGISTRY
from taskqueue.report import Kind
from taskqueue.tasklog.entry import Cause, Claim
from taskqueue.worker.interrupt import Interrupter
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
        "message": Report.success({"a": 1}),  # type: ignore[arg-type]  # what is tested
        "kind": Report("good"),  # type: ignore[arg-type]  # what is tested
        "children": Report(Kind.INFO, children="text"),  # type: ignore[arg-type]  # what is tested
        "odd name": {"\ud800\0": object()},
        "evil": Evil(a=1),
        "surrogate": "\ud800",
    }[kind]


class Evil(dict[str, int]):
    """Cannot even be looked at."""

    def items(self) -> Any:
        raise LookupError("there is nothing to see")


@task(name="runner.nests")
def nests() -> Report:
    return Report.info().with_children("text")  # type: ignore[arg-type]  # what is tested


@task(name="runner.asks", retries=1, backoff=0)
def asks(delay: str) -> None:
    raise Retry(delay=float(delay))


class Later(Retry):
    """An application's own kind, which sets what it likes."""

    def __init__(self, delay: Any) -> None:
        super().__init__("later")
        self.delay = delay


class Unspeakable(Exception):
    """Nothing about it can be found out."""

    __slots__ = ()

    @property
    def __class__(self) -> Any:
        raise SystemExit(3)


def work_of(bound: Any, **claim: Any) -> Any:
    body = codec.encode(bound)
    queue: Any = SimpleNamespace(name="q", limits=Limits())
    given = {"fence": 1, "attempts": 0, "crashes": 0, "cancel_requested": False, "has_children": False} | claim
    held = Held(Delivery(bound.id, body, "1"), Claim(bound.id, **given))
    return unpack(queue, held, REGISTRY, worker="w", lease_end=float("inf"))


def run(bound: Any, *, interrupter: Interrupter | None = None, **claim: Any) -> Any:
    context_of = lambda work: Run(work, worker="w", spawn=None, stopping=lambda: False)  # noqa: E731  # short
    runner = Runner(SystemClock(), context_of, interrupter=interrupter)
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


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("object", "data: a object cannot be put into a message"),
        ("huge", "store the data elsewhere"),
        ("message", "message is of type dict; it must be text"),
        ("kind", "kind is of type str"),
        ("children", "children is of type str"),
        ("odd name", r"data.\\ud800\\0: a object"),
        ("evil", "LookupError: there is nothing to see"),
        ("surrogate", "data: it has half a surrogate pair"),
    ],
)
def test_what_cannot_be_stored_fails_and_says_so(kind, said, quiet):
    outcome = run(answers.bind(kind))
    assert outcome.status is Status.FAILED
    assert "its result cannot be stored: " in report_of(outcome).message
    assert re.search(said, report_of(outcome).message)


def test_that_a_result_could_not_be_stored_is_heard_as_any_failure(no_hooks):
    heard = []
    hooks.on_failure(lambda _context, report, _error: heard.append(report.message))
    run(answers.bind("message"))
    assert "its result cannot be stored" in heard[0]


class BrokenTracer(hooks.Tracer):
    """Fails before a run, while it is told of its end, or after it."""

    def __init__(self, when: str) -> None:
        self.when = when

    def sending(self, *, repeats: Any = ()) -> Any:
        raise NotImplementedError

    @contextmanager
    def processing(self, run: hooks.Running) -> Iterator[hooks.Ended]:
        def tell(outcome: str, problem: str | None) -> None:
            if self.when == "told":
                raise OSError("no disk")

        if self.when == "before":
            raise OSError("no disk")
        yield tell
        if self.when == "after":
            raise OSError("no disk")

    def raised(self, error: BaseException) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("when", ["before", "told", "after"])
def test_a_tracer_that_fails_is_no_failure_of_the_task(when, caplog, monkeypatch):
    monkeypatch.setattr(hooks.HOOKS, "tracer", BrokenTracer(when))
    outcome = run(answers.bind("report"))
    assert (outcome.status, report_of(outcome)) == (Status.COMPLETED, Report.warning("look"))
    assert [record.message for record in caplog.records] == ["the tracer failed"]


def test_what_is_no_report_below_one_is_the_task_s_own_error():
    outcome = run(nests.bind())
    assert outcome.status is Status.FAILED
    assert report_of(outcome).message.startswith("TypeError: with_children() takes reports")


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


@pytest.fixture
def quiet(monkeypatch):
    """Captured log lines travel between the test processes, which choke on odd texts."""
    monkeypatch.setattr(logging.getLogger("taskqueue.task"), "disabled", True)


ODD = pytest.mark.parametrize("text", ["\ud800", "\0", "\x1b[31m"], ids=["surrogate", "nul", "escape"])


@ODD
def test_an_exception_s_odd_text_can_be_stored(text, quiet):
    assert end_of(ValueError(text)).status is Status.FAILED


@ODD
@pytest.mark.parametrize("kind", [LeaseLost, WorkerStopping, TaskTimeout, SystemExit, Retry])
def test_so_can_that_of_an_interrupt_which_the_task_raised_itself(kind, text, quiet):
    outcome = end_of(kind(text * 3000))
    detail = outcome.attempt.detail
    assert len(detail.encode()) < 10_000
    assert "\0" not in detail


def test_an_exception_s_odd_name_can_be_stored(quiet):
    odd = type("Odd", (Exception,), {"__module__": 3, "__qualname__": "\ud800\0" * 3000})
    assert len(report_of(end_of(odd())).data["type"]) < 300


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


@pytest.mark.parametrize("delay", ["inf", "nan", "1e30", "-1"])
def test_a_delay_that_cannot_be_waited_for_is_the_task_s_own_error(delay):
    first, last = run(asks.bind(delay)), run(asks.bind(delay), attempts=1)
    assert [o.status for o in (first, last)] == [Status.ENQUEUED, Status.FAILED]
    assert first.delay == 0
    assert report_of(last).message.startswith("ValueError: Retry: its delay is ")
    assert "raise Retry(delay=float(delay))" in report_of(last).data["traceback"]


@pytest.mark.parametrize(
    "delay",
    [float("inf"), float("nan"), 1e30, 10**400, -1, "x", timedelta.max, [1], object()],
    ids=lambda x: str(x)[:20],
)
def test_a_delay_that_was_set_past_the_check_is_looked_at_again(delay):
    outcome = end_of(Later(delay))
    assert outcome.status is Status.FAILED
    assert report_of(outcome).message.partition(":")[0] in ("TypeError", "ValueError")
    assert "Retry: its delay is" in report_of(outcome).message


def test_a_timedelta_is_a_delay_too():
    assert end_of(Retry(delay=timedelta(minutes=1))).delay == 60
    assert end_of(Later(timedelta(minutes=1))).delay == 60


def test_runs_that_ended_with_their_worker_use_up_no_retries():
    """P4, P9: two crashes, then three failures of its own, of which two are followed by another run."""
    ends = [end_of(ValueError("x"), raises_with_retries, attempts=2 + n, crashes=2) for n in range(3)]
    assert [o.status for o in ends] == [Status.ENQUEUED, Status.ENQUEUED, Status.FAILED]
    assert [o.attempts for o in ends] == [3, 4, 5]
    assert 5 <= ends[0].delay <= 10 <= ends[1].delay <= 20


def test_a_timeout_counts_as_a_failure_of_the_task():
    assert end_of(TaskTimeout("over")).attempt.cause is Cause.TIMEOUT


@pytest.mark.parametrize(("error", "cause"), [(LeaseLost("x"), Cause.LEASE_LOST), (WorkerStopping("x"), Cause.STOPPED)])
def test_what_is_no_fault_of_the_task_counts_as_no_attempt(error, cause):
    """P4."""

    class Interrupted(Interrupter):
        reason = error

    outcome = end_of(error, attempts=1, interrupter=Interrupted())
    assert (outcome.status, outcome.attempts, outcome.delay) == (Status.ENQUEUED, 1, 0.0)
    assert outcome.attempt.cause is cause


@pytest.mark.parametrize("error", [LeaseLost("x"), WorkerStopping("x")])
def test_an_interrupt_that_the_task_made_itself_is_its_own_error(error):
    """Else it would run again at once, for ever."""
    outcome = end_of(error, raises_with_retries)
    assert outcome.status is Status.FAILED
    assert report_of(outcome).message == f"{type(error).__name__}: x"


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


@pytest.fixture
def no_hooks():
    yield
    hooks.HOOKS.clear()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), TaskTimeout("x")])
@pytest.mark.parametrize("of", ["an exception", "a report"])
def test_a_failure_hook_that_leaves_takes_nothing_with_it(error, of, no_hooks, caplog):
    heard = []

    @hooks.on_failure
    def leave(*_: Any) -> None:
        raise error

    @hooks.on_failure
    def note(_context: Any, report: Report, _error: Any) -> None:
        heard.append(report.message)

    outcome = end_of(ValueError("x")) if of == "an exception" else run(answers.bind("error"))
    assert report_of(outcome).message == heard[0] == ("ValueError: x" if of == "an exception" else "no")
    assert "hook failed" in caplog.text


@pytest.mark.parametrize(
    "error", [RuntimeError("the hook itself"), SystemExit(3), KeyboardInterrupt("the hook itself")]
)
@pytest.mark.parametrize("when", ["made", "before", "after"])
def test_a_manager_round_the_task_that_breaks_fails_the_task(error, when, no_hooks):
    @contextmanager
    def around(_: Any) -> Iterator[None]:
        if when == "before":
            raise error
        yield
        raise error

    def broken(_: Any) -> Any:
        raise error

    hooks.around_task(broken if when == "made" else around)
    outcome = run(answers.bind("report"))
    assert outcome.status is Status.FAILED
    assert "the hook itself" in report_of(outcome).message or "sys.exit(3)" in report_of(outcome).message


def test_an_error_that_cannot_even_be_looked_at_fails_the_task(caplog):
    outcome = end_of(Unspeakable())
    assert (outcome.status, outcome.attempts, outcome.attempt.cause) == (Status.FAILED, 1, Cause.ERROR)
    assert report_of(outcome).message.startswith("The run is over, but what became of it could not be told")
    assert "what became of it could not be told" in caplog.text


class BrokenHandler(logging.Handler):
    def emit(self, _record: logging.LogRecord) -> None:
        raise RuntimeError("the disk is full")


def test_a_log_handler_that_breaks_does_not_leave_the_run_without_outcome(monkeypatch):
    monkeypatch.setattr(logging.getLogger("taskqueue.task"), "handlers", [BrokenHandler()])
    outcome = end_of(ValueError("x"))
    assert outcome.status is Status.FAILED
    assert "could not be told: RuntimeError: the disk is full" in report_of(outcome).message


def test_closing_takes_no_harm_from_what_a_task_left_on_the_loop(caplog):
    @task(name="runner.leaves_one_behind")
    async def leaves_one_behind() -> None:
        asyncio.get_running_loop().left = asyncio.create_task(leaving())  # type: ignore[attr-defined]  # kept from the collector
        await asyncio.sleep(0)

    async def leaving() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise SystemExit(3)

    assert run(leaves_one_behind.bind()).status is Status.COMPLETED
    assert "did not end well" in caplog.text


def test_a_coroutine_does_not_go_on_beside_the_next_when_something_else_ended_its_loop():
    went_on = []

    @task(name="runner.left_in_its_middle")
    async def left_in_its_middle() -> None:
        exiting = asyncio.create_task(exits())
        await asyncio.sleep(0.001)
        went_on.append(exiting)

    async def exits() -> None:
        raise SystemExit(3)

    @task(name="runner.next")
    async def following() -> str:
        await asyncio.sleep(0.01)
        return "the next one"

    runner = Runner(SystemClock(), lambda work: Run(work, worker="w", spawn=None, stopping=lambda: False))
    first, second = (runner.run(work_of(one.bind())) for one in (left_in_its_middle, following))
    runner.close()
    assert (first.status, second.status) == (Status.FAILED, Status.COMPLETED)
    assert "sys.exit(3)" in report_of(first).message
    assert went_on == []


def test_a_task_whose_making_calls_sys_exit_is_refused_and_does_not_end_the_worker(monkeypatch):
    """P7: it is made in the thread that all of the worker's leases hang on."""

    class NeedsItsKey(AbstractTask, name="runner.needs_its_key"):
        key: str | None = "key"

        def __init__(self) -> None:
            if self.key is None:
                sys.exit("there is no key")

        def __call__(self) -> None: ...

    made = NeedsItsKey()
    monkeypatch.setattr(NeedsItsKey, "key", None)
    outcome = run(made)
    assert outcome.status is Status.FAILED
    assert "its code left by SystemExit" in report_of(outcome).message


def test_a_refusal_in_odd_words_can_be_stored(quiet):
    work = work_of(raises.bind())
    work.decoded, work.problem = None, InvalidArguments("\ud800\0" * 5000)
    outcome = Runner(SystemClock(), lambda work: None).run(work)
    assert outcome.status is Status.FAILED
    assert report_of(outcome).message.startswith("The message was refused: ")
