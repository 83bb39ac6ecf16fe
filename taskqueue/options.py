"""What may be said about how a task runs. Every option is optional: None means "not said".

They are said at the enqueue, at the task, at its queue and in `[queue_defaults]`; `merge` lays the one over the other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict

import msgspec

from taskqueue.errors import InvalidArguments
from taskqueue.message import HIGHEST, LOWEST

#: characters of a group or a key
LONGEST_NAME = 255

_Limits = tuple[tuple[type, ...], str, float, float]
#: option -> type as people say it, smallest and largest value
_LIMITS: dict[str, _Limits] = {
    "retries": ((int,), "a whole number", 0, 2**31 - 1),
    "backoff": ((int, float), "seconds", 0, 1e9),
    "backoff_factor": ((int, float), "a number", 1, 1e6),
    "backoff_max": ((int, float), "seconds", 0, 1e9),
    "timeout": ((int, float), "seconds", 0.001, 1e9),
    "priority": ((int,), "a whole number", HIGHEST, LOWEST),
    "delay": ((int, float), "seconds", 0, 1e9),
    "max_crashes": ((int,), "a whole number", 0, 2**31 - 1),
}


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a task runs. Durations are seconds; a value out of range raises InvalidArguments.

    After a failure the task waits `backoff` seconds (default 1), times `backoff_factor` (2) for each further failure,
    at most `backoff_max` (600), with jitter.
    """

    retries: int | None = None
    backoff: float | None = None
    backoff_factor: float | None = None
    backoff_max: float | None = None
    #: the task is interrupted after so long
    timeout: float | None = None
    #: 0 first to 9
    priority: int | None = None
    #: start no sooner than so long after the enqueue
    delay: float | None = None
    queue: str | None = None
    #: how often it is run again after its worker died under it
    max_crashes: int | None = None

    def __post_init__(self) -> None:
        for name, limits in _LIMITS.items():
            value = getattr(self, name)
            if value is not None:
                _check(name, value, limits)


class EnqueueOptions(TypedDict, total=False):
    """What may be said at an enqueue: the options of `TaskOptions`, and facts for the task log.

    `eta` (an aware datetime) is another way to say `delay`; `connection` is an SQLAlchemy Connection or Session.
    Tasks of a `group` run one after the other, in the order in which they were enqueued, through their retries; only
    some queues have groups. A `key` is good once: while the task log has a task of the queue with that key, an enqueue
    stores nothing and returns the handle of that task.
    """

    retries: int
    backoff: float
    backoff_factor: float
    backoff_max: float
    timeout: float
    priority: int
    delay: float
    queue: str
    max_crashes: int
    eta: datetime
    owner: str
    label: str
    category: str
    group: str
    key: str
    connection: Any


NOTHING_SAID = TaskOptions()


def merge(over: TaskOptions, under: TaskOptions) -> TaskOptions:
    """What `over` says, and what `under` says where `over` says nothing."""
    if under is over or under == NOTHING_SAID:
        return over
    if over == NOTHING_SAID:
        return under
    said = {name: value for name in over.__struct_fields__ if (value := getattr(over, name)) is not None}
    return msgspec.structs.replace(under, **said)


def check_name(name: str, value: Any) -> None:
    """Raise InvalidArguments if this cannot be a group or a key."""
    if not isinstance(value, str):
        raise InvalidArguments(f"option {name} is {value!r}; it must be text")
    if not 1 <= len(value) <= LONGEST_NAME or not value.isprintable():
        raise InvalidArguments(
            f"option {name} has {len(value):,} characters; it must have 1 to {LONGEST_NAME}, all of them printable"
        )


def _check(name: str, value: Any, limits: _Limits) -> None:
    kind, words, lowest, highest = limits
    if type(value) not in kind:
        raise InvalidArguments(f"option {name} is {value!r}; it must be {words}")
    if not lowest <= value <= highest:
        raise InvalidArguments(f"option {name} is {value!r}; it goes from {lowest:g} to {highest:g}")
