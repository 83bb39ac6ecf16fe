"""The watch over the running task: its time limit, its lease, and what enforces both when the task does not yield.

The lease's end is enforced in C (R3): a Python thread cannot act while a task holds the interpreter lock, so
`faulthandler` ends the process, with every stack in the log, at the lease's end or five seconds past the task's
deadline, whichever comes first. It is re-armed at each renewal and at each new task that has run for a while.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys

from taskqueue.clock import Clock
from taskqueue.errors import LeaseLost, TaskTimeout
from taskqueue.worker.inbox import Work
from taskqueue.worker.interrupt import Interrupter

log = logging.getLogger(__name__)

#: a task that does not yield at its deadline is ended with its worker so much later (P10)
HARD_LIMIT = 5.0


def margin(lease: float) -> float:
    """How long before the lease's end the task is told: a tenth of it, 10 s at most."""
    return min(10.0, lease / 10)


class Watch:
    """Guards one running task at a time."""

    def __init__(self, interrupter: Interrupter, clock: Clock) -> None:
        self._interrupter = interrupter
        self._clock = clock
        self._told = 0
        self._armed = 0.0

    def look(self, work: Work | None) -> None:
        """Tell the task what its time is; called at each step of the lifeline."""
        if work is None or not work.run:
            return
        now = self._clock.monotonic()
        lease = work.queue.limits.lease
        if now >= work.lease_end - margin(lease):
            self._tell(work, LeaseLost(f"the lease of {lease:g} s could not be renewed; another worker may start this"))
        elif work.timeout and now >= work.started + work.timeout:
            self._tell(work, TaskTimeout(f"the task ran longer than its timeout of {work.timeout:g} s"))

    def _tell(self, work: Work, reason: LeaseLost | TaskTimeout) -> None:
        if self._told != work.run:
            self._told = work.run
            self._interrupter.interrupt(work.run, reason)

    def next(self, work: Work | None) -> float:
        """Monotonic time at which `look` has something to do; infinity if never."""
        if work is None or not work.started:
            return float("inf")
        told = self._told == work.run and work.run
        deadline = work.started + work.timeout if work.timeout and not told else float("inf")
        return min(deadline, work.lease_end - margin(work.queue.limits.lease) if not told else float("inf"))

    def arm(self, work: Work | None, *, lease_end: float) -> float:
        """Arm the timer in C for the earlier of lease end and hard limit; that moment (monotonic)."""
        end = lease_end
        if work is not None and work.started and work.timeout:
            end = min(end, work.started + work.timeout + HARD_LIMIT)
        if end != self._armed:
            self._armed = end
            remaining = max(0.05, end - self._clock.monotonic())
            faulthandler.dump_traceback_later(remaining, exit=True, file=_stderr())
        return end

    def disarm(self) -> None:
        """Nothing runs and nothing is leased."""
        if self._armed:
            self._armed = 0.0
            faulthandler.cancel_dump_traceback_later()


def _stderr() -> int:
    """The descriptor for stacks: the real standard error, whatever `sys.stderr` has become."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return os.dup(2)
