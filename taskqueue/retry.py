"""When again: whether a failed run is worth another attempt, and how long to wait before it. Pure."""

from __future__ import annotations

from collections.abc import Callable

from taskqueue.errors import Retry, TaskInterrupt, TaskTimeout
from taskqueue.options import TaskOptions
from taskqueue.registry import Definition

BACKOFF, BACKOFF_FACTOR, BACKOFF_MAX = 1.0, 2.0, 600.0
#: what is worth another attempt unless the task says otherwise
DEFAULT_RETRY_ON: tuple[type[BaseException], ...] = (Exception, TaskTimeout)


def wants_retry(error: BaseException, definition: Definition | None, options: TaskOptions, attempt: int) -> bool:
    """Whether attempt number `attempt` (from 1), which ended with `error`, is followed by another.

    `raise Retry` asks for one whatever `retry_on` says, and has no limit unless `retries` sets it.
    """
    if isinstance(error, Retry):
        return options.retries is None or attempt <= options.retries
    if attempt > (options.retries or 0):
        return False
    if isinstance(error, TaskInterrupt) and not isinstance(error, TaskTimeout):
        return False
    retry_on = definition.retry_on if definition is not None else None
    return isinstance(error, DEFAULT_RETRY_ON if retry_on is None else retry_on)


def next_delay(options: TaskOptions, attempt: int, random: Callable[[], float]) -> float:
    """Seconds to wait after attempt number `attempt` (from 1) failed: exponential, capped, with jitter.

    `random` gives numbers from 0 to 1; between half of the time and all of it is waited, so that what failed together
    does not come back together.
    """
    base = BACKOFF if options.backoff is None else options.backoff
    factor = BACKOFF_FACTOR if options.backoff_factor is None else options.backoff_factor
    most = BACKOFF_MAX if options.backoff_max is None else options.backoff_max
    try:
        whole = min(most, base * factor ** (attempt - 1))
    except OverflowError:
        whole = most if base else 0.0
    return whole * (0.5 + random() / 2)
