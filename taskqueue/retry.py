"""When again: whether a failed run is worth another attempt, and how long to wait before it. Pure."""

from __future__ import annotations

from collections.abc import Callable

from taskqueue.errors import Retry, TaskInterrupt, TaskTimeout, delay_in_seconds
from taskqueue.options import TaskOptions
from taskqueue.registry import Definition

BACKOFF, BACKOFF_FACTOR, BACKOFF_MAX = 1.0, 2.0, 600.0
#: what is worth another attempt unless the task says otherwise
DEFAULT_RETRY_ON: tuple[type[BaseException], ...] = (Exception, TaskTimeout)


def failures(attempts: int, crashes: int) -> int:
    """How many of so many attempts, of which the last one failed, ended by the task's own doing (from 1).

    The others ended with their worker: `max_crashes` limits those, and they use up no retries.
    """
    return max(1, attempts - crashes)


def asked_delay(error: BaseException) -> float | None:
    """Seconds after which the task asked to be run again; None if it said nothing of that.

    Looked at once more, because an application's own kind of `Retry` may have set it: raises TypeError or ValueError.
    """
    asked = error.delay if isinstance(error, Retry) else None
    return None if asked is None else delay_in_seconds(asked)


def wants_retry(error: BaseException, definition: Definition | None, options: TaskOptions, failure: int) -> bool:
    """Whether failure number `failure` (from 1) of the task, which was `error`, is followed by another attempt.

    `raise Retry` asks for one whatever `retry_on` says, and has no limit unless `retries` sets it.
    """
    if isinstance(error, Retry):
        return options.retries is None or failure <= options.retries
    if failure > (options.retries or 0):
        return False
    if isinstance(error, TaskInterrupt) and not isinstance(error, TaskTimeout):
        return False
    retry_on = definition.retry_on if definition is not None else None
    return isinstance(error, DEFAULT_RETRY_ON if retry_on is None else retry_on)


def next_delay(options: TaskOptions, failure: int, random: Callable[[], float]) -> float:
    """Seconds to wait after failure number `failure` (from 1): exponential, capped, with jitter.

    `random` gives numbers from 0 to 1; between half of the time and all of it is waited, so that what failed together
    does not come back together.
    """
    base = BACKOFF if options.backoff is None else options.backoff
    factor = BACKOFF_FACTOR if options.backoff_factor is None else options.backoff_factor
    most = BACKOFF_MAX if options.backoff_max is None else options.backoff_max
    try:
        whole = min(most, base * factor ** (failure - 1))
    except OverflowError:
        whole = most if base else 0.0
    return whole * (0.5 + random() / 2)
