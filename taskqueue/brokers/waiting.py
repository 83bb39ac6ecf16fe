"""Waiting for work: the one loop behind every broker's `wait`."""

from __future__ import annotations

import select
import time
from typing import Protocol

from taskqueue.database.wakeup import Bell


class Work(Protocol):
    """The two questions that waiting asks a broker."""

    def ready(self) -> bool:
        """Whether a pop would find something now."""

    def due_in(self) -> float | None:
        """Seconds until the next delayed message is due; None if there is none."""


def wait_for(work: Work, bell: Bell, timeout: float, interrupt: int | None, *, trusting: bool = False) -> bool:
    """Whether there may be work within `timeout` seconds; False at once when `interrupt` is readable.

    `bell` must be listening before the first look: a push between look and sleep would wake nobody. `trusting`: it is
    taken at its word, as to look is no cheaper than to pop.
    """
    deadline = time.monotonic() + timeout
    while not work.ready():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        due = work.due_in()
        longest = min(left, bell.patience())
        readable = sleep(bell, longest if due is None else min(longest, due), interrupt)
        if interrupt in readable:
            return False
        if trusting and bell.fileno() in readable:
            return True
    return True


def sleep(bell: Bell, seconds: float, interrupt: int | None) -> set[int]:
    """Sleep until `bell` rings, `seconds` are over, or `interrupt` is readable; which of these descriptors is."""
    poll = select.poll()
    poll.register(bell.fileno(), select.POLLIN)
    if interrupt is not None:
        poll.register(interrupt, select.POLLIN)
    # Rounded up: who wakes a moment early only looks in vain and sleeps again.
    readable = {descriptor for descriptor, _ in poll.poll(int(seconds * 1000) + 1)}
    if bell.fileno() in readable:
        bell.drain()
    return readable
