"""The watch over the running task: its time limit, its lease, and what enforces both when the task does not yield.

The lease's end is enforced in C (R3): a Python thread cannot act while a task holds the interpreter lock, so
`faulthandler` ends the process, with every stack in the log, at the lease's end or five seconds past the task's
deadline, whichever comes first. The lifeline moves it on as long as it lives.
"""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
from collections.abc import Sequence

from taskqueue.clock import Clock
from taskqueue.errors import LeaseLost, TaskInterrupt, TaskTimeout
from taskqueue.worker.inbox import Work
from taskqueue.worker.interrupt import Interrupter

log = logging.getLogger(__name__)

#: a task that does not yield at its deadline is ended with its worker so much later (P10)
HARD_LIMIT = 5.0


def margin(lease: float) -> float:
    """How long before the lease's end the task is told: a tenth of it, 10 s at most."""
    return min(10.0, lease / 10)


class Watch:
    """Guards one running task at a time. Safe in threads."""

    def __init__(self, interrupter: Interrupter, clock: Clock, *, stacks: int | None = None) -> None:
        self._interrupter = interrupter
        #: descriptor for the stacks of a process that has to be ended; None: standard error
        self._stacks = stacks
        self._clock = clock
        self._lock = threading.Lock()
        self._told = 0
        self._armed = 0.0
        #: the work that has to end by then, whatever its own limits are
        self._capped: Work | None = None
        self._cap = float("inf")

    def look(self, work: Work | None) -> None:
        """Tell the task what its time is."""
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

    def arm(self, current: Work | None, unstarted: Sequence[Work], *, lease_end: float | None) -> None:
        """Arm the timer in C: for the lease's end, or the earliest hard limit of what runs or may start.

        What is unstarted may start, and take the interpreter with it, before we look again. Disarms where nothing is
        held.
        """
        now = self._clock.monotonic()
        limits = [now + work.timeout + HARD_LIMIT for work in unstarted if work.timeout]
        if lease_end is not None:
            limits.append(lease_end)
        if current is not None and current.timeout:
            limits.append(current.started + current.timeout + HARD_LIMIT)
        with self._lock:
            if current is not None and current is self._capped:
                limits.append(self._cap)
            self._arm(min(limits, default=None))

    def end_soon(self, work: Work, reason: TaskInterrupt, *, within: float) -> None:
        """Ask the task to stop, and end the process after `within` seconds if it is still there."""
        with self._lock:
            before = self._cap if work is self._capped else float("inf")
            self._capped, self._cap = work, min(before, self._clock.monotonic() + within)
            self._arm(self._cap)
        self._interrupter.interrupt(work.run, reason)

    def disarm(self) -> None:
        """Nothing runs and nothing is leased."""
        with self._lock:
            self._arm(None)

    @property
    def stacks(self) -> int:
        """The descriptor to which stacks go."""
        return stderr() if self._stacks is None else self._stacks

    def _arm(self, end: float | None) -> None:
        if end is None:
            if self._armed:
                self._armed = 0.0
                faulthandler.cancel_dump_traceback_later()
            return
        # Arming costs 40 us. A timer that is a little early will do, as long as we look again well before it.
        now = self._clock.monotonic()
        if end == self._armed or (self._armed <= end <= self._armed + 1.0 and self._armed > now + 3.0):
            return
        self._armed = end
        faulthandler.dump_traceback_later(max(0.05, end - now), exit=True, file=self.stacks)


def stderr() -> int:
    """The descriptor for stacks: the real standard error, whatever `sys.stderr` has become."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return 2
