"""Waiting for a condition, which is the only way that a test waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, within: float = 20.0, what: str = "") -> T:
    """The condition's first true answer. Fails after `within` seconds, with its last one."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'the condition'} did not hold within {within:g} s; last: {answer!r}")
        time.sleep(0.005)  # noqa: TID251 - the one place that may
    return answer
