"""One task run: from work to outcome.

The single `except` for whatever a user's task raises stands here. What was raised *into* the task (`TaskInterrupt`)
says which of our reasons it was; everything else is the task's own and becomes its report (P9).

Whatever else goes wrong there (a hook, a log handler, a value that cannot even be looked at), the run has an outcome:
what a worker cannot store or tell would break it, and every other that takes the task after it.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from taskqueue import retry
from taskqueue.clock import Clock
from taskqueue.codec import DecodedTask
from taskqueue.context import RunContext, enter, leave
from taskqueue.errors import LeaseLost, Retry, TaskCancelled, TaskQueueError, TaskTimeout, UnknownTask, WorkerStopping
from taskqueue.hooks import HOOKS, Running, Tracer
from taskqueue.options import TaskOptions, merge
from taskqueue.report import Report
from taskqueue.status import Status
from taskqueue.tasklog.entry import Cause, Outcome
from taskqueue.worker import outcomes
from taskqueue.worker.coroutines import Coroutines
from taskqueue.worker.inbox import Work
from taskqueue.worker.interrupt import Interrupter

log = logging.getLogger("taskqueue.task")


class Runner:
    """Runs work in the calling thread."""

    def __init__(
        self,
        clock: Clock,
        context_of: Callable[[Work], RunContext],
        *,
        interrupter: Interrupter | None = None,
        random: Random | None = None,
    ) -> None:
        self._clock = clock
        self._context_of = context_of
        self._interrupter = interrupter or Interrupter()
        self._coroutines = Coroutines(interrupter)
        self._random = random or Random()

    def run(self, work: Work) -> Outcome:
        """Run the task and say what is to be written. Raises nothing: whatever happens, there is an outcome."""
        since = self._clock.micros()
        try:
            return self._outcome(work)
        except BaseException as error:  # noqa: BLE001  # not the task's, or it would have been judged
            return self._unjudged(work, error, since)

    def _outcome(self, work: Work) -> Outcome:
        if work.cancelled:
            return outcomes.cancelled(work, at=self._clock.micros())
        if work.decoded is None:
            return self._refuse(work)
        context = self._context_of(work)
        token = enter(context)
        try:
            return self._run(work, work.decoded) if HOOKS.tracer is None else self._traced(HOOKS.tracer, work, context)
        finally:
            leave(token)

    def _traced(self, tracer: Tracer, work: Work, context: RunContext) -> Outcome:
        assert work.decoded is not None
        run = Running(
            work.id,
            work.name,
            work.queue.name,
            context.worker,
            context.attempt,
            work.parent_id,
            work.decoded.header.trace,
        )
        begun, outcome = False, None
        try:
            with tracer.processing(run) as tell:
                begun = True
                outcome = self._run(work, work.decoded)
                tell(*outcomes.told(outcome))
        except Exception:
            if begun and outcome is None:
                raise
            log.exception("the tracer failed")  # which is no reason for the task to fail
        return outcome or self._run(work, work.decoded)

    def _run(self, work: Work, task: DecodedTask) -> Outcome:
        started = self._clock.micros()
        try:
            value = self._call(work, task)
        except BaseException as error:  # noqa: BLE001  # the one place: whatever a task raises
            if HOOKS.tracer is not None and not isinstance(error, Retry | TaskCancelled):
                HOOKS.tracer.raised(error)
            return self._judge(work, task, error, started)
        return self._answered(work, value, started)

    def close(self) -> None:
        """Let go of the event loop. What is left on it may raise as it ends, which is only logged."""
        try:
            self._coroutines.close()
        except BaseException:
            log.exception("what tasks left on the event loop did not end well")

    def _call(self, work: Work, task: DecodedTask) -> Any:
        with HOOKS.around(task.definition.around), self._interrupter as work.run:
            value = task.invoke()
            return self._coroutines.run(value) if inspect.iscoroutine(value) else value

    def _answered(self, work: Work, value: object, started: int) -> Outcome:
        report, encoded = outcomes.answer(value)
        outcome = outcomes.ended(work, report, encoded, at=self._clock.micros(), started=started)
        if outcome.status is Status.FAILED:
            log.warning("task failed: %s", report.message, extra=_facts(work))
            HOOKS.failed(report, None)
        elif log.isEnabledFor(logging.DEBUG):
            log.debug("task completed", extra=_facts(work))
        return outcome

    def _judge(self, work: Work, task: DecodedTask, error: BaseException, started: int) -> Outcome:
        at = self._clock.micros()
        # One of these that the task made itself is its own error: given up for our reason, it would run again for ever.
        ours = error is self._interrupter.reason
        match error:
            case LeaseLost() if ours:
                log.error("lease lost: another worker may run this task now", extra=_facts(work))
                return outcomes.given_up(work, Cause.LEASE_LOST, str(error), at=at, started=started)
            case WorkerStopping() if ours:
                return outcomes.given_up(work, Cause.STOPPED, str(error), at=at, started=started)
            case TaskCancelled():
                return outcomes.cancelled(work, at=at, started=started)
            case _:
                return self._failed(work, task, error, started)

    def _failed(self, work: Work, task: DecodedTask, error: BaseException, started: int) -> Outcome:
        try:
            asked = retry.asked_delay(error)
        except (TypeError, ValueError) as mistake:  # the task's own, as if its `Retry` had been refused at once
            return self._failed(work, task, mistake, started)
        report = _report(error)
        at = self._clock.micros()
        cause = Cause.TIMEOUT if isinstance(error, TaskTimeout) else Cause.ERROR
        claim, options = work.held.claim, _options(work, task)
        failures = retry.failures(claim.attempts + 1, claim.crashes)
        if retry.wants_retry(error, task.definition, options, failures):
            delay = retry.next_delay(options, failures, self._random.random) if asked is None else asked
            level, what = (
                (logging.INFO, "asked to run again") if isinstance(error, Retry) else (logging.WARNING, "failed")
            )
            log.log(level, "task %s, runs again in %.1f s: %s", what, delay, report.message, extra=_facts(work))
            cause = Cause.RETRY if cause is Cause.ERROR else cause
            return outcomes.again(work, report, cause, delay=delay, at=at, started=started)
        shown = (type(error), error, outcomes.frames_of_the_task(error))
        log.warning("task failed: %s", report.message, extra=_facts(work), exc_info=shown)
        HOOKS.failed(report, error)
        return outcomes.failed(work, report, at=at, started=started, cause=cause)

    def _unjudged(self, work: Work, error: BaseException, started: int) -> Outcome:
        report = outcomes.unjudged(error)
        with suppress(BaseException):  # a log handler may be what broke
            log.critical("%s", report.message, extra=_facts(work))
        at = self._clock.micros()
        return outcomes.failed(work, report, at=at, started=started, cause=Cause.ERROR)

    def _refuse(self, work: Work) -> Outcome:
        """The message cannot be run here (P7)."""
        problem, at = work.problem, self._clock.micros()
        assert problem is not None
        since = work.held.claim.unknown_since or at
        grace = work.queue.limits.unknown_grace
        if isinstance(problem, UnknownTask) and at < since + grace * 1e6:
            waited = (at - since) / 1e6
            delay = min(60.0, max(1.0, waited / 2), max(0.1, grace - waited))
            log.warning("%s; given back for %.0f s, a newer worker may know it", problem, delay, extra=_facts(work))
            return outcomes.not_known_here(work, delay=delay, since=since, at=at)
        log.error("message refused: %s", problem, extra=_facts(work))
        return outcomes.failed(work, _refusal(problem), at=at)


def _options(work: Work, task: DecodedTask) -> TaskOptions:
    return merge(merge(task.options, task.definition.options), TaskOptions(retries=work.queue.limits.retries or None))


def _report(error: BaseException) -> Report:
    if isinstance(error, SystemExit):
        said = f"the task called sys.exit({error.code!r:.1000}); only the task ended, its worker goes on"
        return outcomes.error_report(said)
    return outcomes.exception_report(error)


def _refusal(problem: TaskQueueError) -> Report:
    return outcomes.error_report(f"The message was refused: {problem}. It is kept with this entry.")


def _facts(work: Work) -> dict[str, object]:
    return {
        "task_id": work.id,
        "task_name": work.name,
        "queue": work.queue.name,
        "attempt": work.held.claim.attempts + 1,
    }
