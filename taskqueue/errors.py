"""The exception tree. Each class is one cause; its text says what, where, and what to do.

TaskQueueError                      exit code 1
├── ConfigurationError              78: the configuration cannot ever work
│   └── SchemaMismatch              the database's schema is too old or too new for this code
├── BrokerUnavailable               the store behind a queue or task log does not answer; try again
├── Deposed                         this worker was declared dead; it must leave
├── QueueFull                       the queue's `max_waiting` is reached
├── UnknownQueue, UnknownTask, UnknownEntry, UnknownHost, UnknownOrder
├── InvalidArguments                the arguments do not fit the task's signature
├── EncodingError, MessageTooLarge  a value cannot be put into a message
├── MessageInvalid                  bytes from a store that are no message of ours
├── InvalidTransition               a status that cannot follow the present one
├── NotEnqueueable                  a callable that no worker could find again
├── ResultNotReady                  `Handle.result()` of a task that has not ended
└── TaskFailed                      `Handle.result()` of a task that ended badly; carries its report

Retry (Exception)                   raised by a task: run me again later
TaskInterrupt (BaseException)       raised *into* a task; `except Exception` does not eat it
├── TaskTimeout, LeaseLost, TaskCancelled, WorkerStopping
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskqueue.report import Report

EXIT_FAILED, EXIT_USAGE, EXIT_RECYCLE, EXIT_CONFIGURATION = 1, 2, 75, 78
#: the longest delay that can be asked for, in seconds
MAX_DELAY = 1e9


class TaskQueueError(Exception):
    """Base of every error that this package raises."""

    exit_code = EXIT_FAILED


class ConfigurationError(TaskQueueError):
    """The configuration is wrong; nothing was started."""

    exit_code = EXIT_CONFIGURATION


class SchemaMismatch(ConfigurationError):
    """The database's schema and this code do not fit each other."""


class BrokerUnavailable(TaskQueueError):
    """The store behind a queue or task log did not answer. Nothing is known to have been stored."""


class Deposed(TaskQueueError):
    """This worker was declared dead and what it held was given to others; it must leave."""


class QueueFull(TaskQueueError):
    """The queue holds `max_waiting` tasks already."""


class UnknownQueue(TaskQueueError):
    """No queue of that name is configured."""


class UnknownTask(TaskQueueError):
    """No task of that name is registered in this process."""


class UnknownEntry(TaskQueueError):
    """The task log has no entry of that id."""


class UnknownHost(TaskQueueError):
    """No supervisor of a host of that name has been heard of."""


class UnknownOrder(TaskQueueError):
    """There is no order of that id (any more)."""


class InvalidArguments(TaskQueueError):
    """The arguments do not fit the task's signature."""


class EncodingError(TaskQueueError):
    """A value cannot be put into a message or report."""


class MessageTooLarge(EncodingError):
    """The message is larger than its broker takes."""


class MessageInvalid(TaskQueueError):
    """Bytes from a store that do not decode to a message of ours."""


class InvalidSearch(TaskQueueError):
    """An unknown column, order or comparison, a value of another type, or a page that is none."""


class InvalidTransition(TaskQueueError):
    """The status table has no such step."""


class NotEnqueueable(TaskQueueError):
    """A callable that no worker could find again: a lambda, a local, a bound method, ..."""


class ResultNotReady(TaskQueueError):
    """The task has not ended yet."""


class TaskFailed(TaskQueueError):
    """The task ended badly. `report` says why."""

    def __init__(self, message: str, report: Report | None = None) -> None:
        super().__init__(message)
        self.report = report


class Retry(Exception):
    """Raised by a task to be run again: `raise Retry(delay=30)`.

    `delay` is in seconds, or a timedelta; None means the task's own back-off. What cannot be waited for is refused with
    a TypeError or ValueError, which is then the task's own error.
    """

    delay: float | None = None

    def __init__(self, message: str = "", *, delay: float | timedelta | None = None) -> None:
        given: object = message
        if not isinstance(given, str):
            raise TypeError(
                f"Retry: its message is of type {type(given).__name__} and must be text; "
                "seconds to wait are said by name: Retry(delay=30)"
            )
        super().__init__(message)
        self.delay = None if delay is None else delay_in_seconds(delay)


def delay_in_seconds(delay: object) -> float:
    """The seconds of what a `Retry` asks for; TypeError or ValueError says why it cannot be waited for."""
    seconds: object = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"Retry: its delay is seconds or a timedelta, not of type {type(delay).__name__}")
    if not 0 <= seconds <= MAX_DELAY:
        raise ValueError(f"Retry: its delay is {seconds!r:.20} seconds; it goes from 0 to {MAX_DELAY:g}")
    return float(seconds)


class TaskInterrupt(BaseException):
    """Base of what is raised into a running task from outside."""


class TaskTimeout(TaskInterrupt):
    """The task ran longer than its `timeout`."""


class LeaseLost(TaskInterrupt):
    """This worker's lease on the task is over; another worker may start it. Stop at once."""


class TaskCancelled(TaskInterrupt):
    """Raised by a task that agrees to be cancelled (see `context.cancel_requested`)."""


class WorkerStopping(TaskInterrupt):
    """The worker must leave now; the task goes back to its queue."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The words `, did you mean 'x'?` for the nearest of `known`, or none."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""
