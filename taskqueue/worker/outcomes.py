"""From what a run did to what is written about it. Pure: no clock, no store, no task code."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType

from taskqueue import codec
from taskqueue.errors import EncodingError
from taskqueue.report import Report
from taskqueue.status import Status
from taskqueue.tasklog.entry import Attempt, Cause, Outcome
from taskqueue.visible import storable
from taskqueue.worker.inbox import Work

#: longest traceback in a report, and largest encoded report, in bytes
MAX_TRACEBACK = 16 * 1024
MAX_REPORT = 1024 * 1024
#: longest message of a report that the worker writes, and longest name of an exception's type, in characters
MAX_MESSAGE, MAX_NAME = 2000, 200
_OURS = str(Path(__file__).parents[1])


def answer(value: object) -> tuple[Report, bytes]:
    """A task's answer as a report, and its stored form. What is no `Report` is a success with the value as its data.

    One that cannot be stored becomes an error which says why.
    """
    report = value if isinstance(value, Report) else Report.success(data=value)
    try:
        return report, _encoded(report)
    except Exception as error:  # noqa: BLE001  # the application's own values may do anything when they are looked at
        why = str(error) if isinstance(error, EncodingError) else exception_report(error).message
        report = error_report(f"The task ran to its end, but its result cannot be stored: {why}")
        return report, codec.encode_report(report)


def _encoded(report: Report) -> bytes:
    encoded = codec.encode_report(report)
    if len(encoded) > MAX_REPORT:
        raise EncodingError(
            f"the report has {len(encoded):,} bytes, a task log keeps {MAX_REPORT:,}; store the data elsewhere "
            "and return a reference"
        )
    return encoded


def ended(work: Work, report: Report, encoded: bytes, *, at: int, started: int) -> Outcome:
    """The task ran to its end and answered; a report that contains an error means FAILED."""
    if not report.failed:
        return _outcome(work, Status.COMPLETED, at=at, started=started, report=encoded)
    attempt = _attempt(work, Cause.ERROR, report.message, at=at, started=started)
    return _outcome(work, Status.FAILED, at=at, started=started, report=encoded, attempt=attempt)


def failed(work: Work, report: Report, *, at: int, started: int | None = None, cause: Cause | None = None) -> Outcome:
    """The task failed for good. With a `cause` the attempt is kept too."""
    encoded = codec.encode_report(report)
    attempt = _attempt(work, cause, report.message, at=at, started=started) if cause else None
    return _outcome(work, Status.FAILED, at=at, started=started, report=encoded, attempt=attempt)


def again(work: Work, report: Report, cause: Cause, *, delay: float, at: int, started: int) -> Outcome:
    """The task runs again after `delay` seconds; this attempt stays visible with its cause."""
    encoded = codec.encode_report(report)
    attempt = _attempt(work, cause, report.message, at=at, started=started, report=encoded)
    return _outcome(work, Status.ENQUEUED, at=at, started=started, delay=delay, attempt=attempt)


def given_up(work: Work, cause: Cause, detail: str, *, at: int, started: int) -> Outcome:
    """The run had to end, by no fault of the task: back to the queue, and it counts as no attempt (P4).

    Where another worker has the task already, the fence refuses this.
    """
    attempt = _attempt(work, cause, detail, at=at, started=started)
    return _outcome(work, Status.ENQUEUED, at=at, attempt=attempt)


def cancelled(work: Work, *, at: int, started: int | None = None) -> Outcome:
    """The task never starts, or agreed to stop (P12)."""
    text = "cancelled while it ran" if started else "cancelled before it started"
    return _outcome(work, Status.CANCELLED, at=at, started=started, report=codec.encode_report(Report.info(text)))


def unstorable(work: Work, outcome: Outcome, *, at: int) -> Outcome:
    """What to store where the store refuses an outcome for what is in it."""
    report = Report.error("The task ended, but the store refused its outcome; the worker's log says why.")
    return _outcome(work, Status.FAILED, at=at, started=outcome.started_at, report=codec.encode_report(report))


def not_known_here(work: Work, *, delay: float, since: int, at: int) -> Outcome:
    """No task of that name in this worker: another, newer one may know it (P7)."""
    return _outcome(work, Status.ENQUEUED, at=at, delay=delay, unknown_since=since)


def told(outcome: Outcome) -> tuple[str, str | None]:
    """What became of a run in a word, and in one line what went wrong with it, if anything did."""
    attempt = outcome.attempt
    word = outcome.status.label if outcome.status.ended or attempt is None else attempt.cause.value
    return word, attempt.detail.partition("\n")[0] if attempt is not None else None


def frames_of_the_task(error: BaseException) -> TracebackType | None:
    """Where an exception came from, without our own frames at the top (all of it, if there are no others)."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    return frames or error.__traceback__


def exception_report(error: BaseException) -> Report:
    """Type, text and traceback of an exception, the traceback capped from its middle (P9)."""
    frames = frames_of_the_task(error)
    text = storable("".join(traceback.format_exception(type(error), error, frames)))
    if len(text) > MAX_TRACEBACK:
        half = MAX_TRACEBACK // 2
        text = f"{text[:half]}\n... {len(text) - MAX_TRACEBACK:,} characters left out ...\n{text[-half:]}"
    name = type(error).__qualname__
    module = type(error).__module__
    kind = name if module in ("builtins", "taskqueue.errors") else f"{module}.{name}"
    kind = storable(kind, most=MAX_NAME)
    message = storable(_text(error), most=MAX_MESSAGE)
    return Report.error(f"{kind}: {message}" if message else kind, {"type": kind, "traceback": text})


def unjudged(error: BaseException) -> Report:
    """The run is over, and `error` kept its worker from finding out how."""
    said = "The run is over, but what became of it could not be told"
    try:
        told = exception_report(error)
    except BaseException:  # noqa: BLE001  # an error that cannot even be looked at
        return Report.error(f"{said}.")
    return Report.error(f"{said}: {told.message}", told.data)


def error_report(text: str) -> Report:
    """A report of an error that the worker itself has to tell of, in words that any store takes."""
    return Report.error(storable(text, most=MAX_MESSAGE))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as another:  # noqa: BLE001  # an application's own __str__
        return f"(its text cannot be shown: {type(another).__qualname__})"


def _attempt(
    work: Work, cause: Cause, detail: str, *, at: int, started: int | None, report: bytes | None = None
) -> Attempt:
    claim = work.held.claim
    return Attempt(
        task_id=work.id,
        fence=claim.fence,
        attempt=claim.attempts + 1,
        cause=cause,
        detail=storable(detail, most=MAX_MESSAGE),
        worker=work.worker,
        started_at=started,
        ended_at=at,
        report=report,
        log=work.lines.text if work.lines is not None else None,
    )


def _outcome(
    work: Work,
    status: Status,
    *,
    at: int,
    started: int | None = None,
    report: bytes | None = None,
    delay: float = 0.0,
    unknown_since: int | None = None,
    attempt: Attempt | None = None,
) -> Outcome:
    claim = work.held.claim
    return Outcome(
        id=work.id,
        fence=claim.fence,
        status=status,
        queue=work.queue.name,
        attempts=claim.attempts + (started is not None),
        crashes=claim.crashes,
        parent_id=work.parent_id,
        master_status=work.master_status,
        has_children=claim.has_children or work.parented,
        report=report,
        started_at=started,
        finished_at=at if status.ended or started else None,
        delay=delay,
        unknown_since=unknown_since,
        attempt=attempt,
    )
