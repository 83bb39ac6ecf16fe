"""When a worker leaves, and how: on a signal, after its limits, when its queues are empty, to be recycled (P5).

A graceful stop waits for the running task, for `grace` seconds. What comes then, or at a second TERM or INT, is the
same: the task is asked with `WorkerStopping`, and one second later the process ends where it is. The scorecard says
that it was told to, so that nobody counts a crash.
"""

from __future__ import annotations

import faulthandler
import logging
import os
from collections.abc import Callable, Sequence

import msgspec

from taskqueue.clock import Clock
from taskqueue.errors import EXIT_FAILED, EXIT_RECYCLE, WorkerStopping
from taskqueue.worker.inbox import Inbox, Work
from taskqueue.worker.memory import private_memory
from taskqueue.worker.orders import Orders, Stop
from taskqueue.worker.station import Station
from taskqueue.worker.watch import Watch

log = logging.getLogger(__name__)
#: a task that was asked to leave at once has so long, in seconds
LAST_WORD = 1.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When a worker leaves by itself. 0 or None: never for that reason."""

    #: tasks to run (`--limit`), then leave
    tasks: int | None = None
    #: seconds to live (`--for`), then leave
    seconds: float | None = None
    #: leave when nothing is due (`--drain`)
    drain: bool = False
    #: tasks, and bytes of private memory, after which to be recycled
    max_tasks: int = 0
    max_memory: int = 0
    #: seconds that a graceful stop waits for the running task; None: for ever
    grace: float | None = None


class Leaving:
    """Follows the orders and the limits, and says when the worker is through."""

    def __init__(self, orders: Orders, clock: Clock, watch: Watch, limits: Limits, stations: Sequence[Station]) -> None:
        self._orders = orders
        self._clock = clock
        self._watch = watch
        self._limits = limits
        self._stations = stations
        self._born = clock.monotonic()
        self._told_at = 0.0
        self._asked_at = 0.0
        self._through = False
        self._memory_at = 0.0
        self.exit_code = 0
        #: called before the process ends in the middle of a task
        self.before_exit: Callable[[], None] = lambda: None
        #: called after a signal was followed
        self.heard: Callable[[], None] = lambda: None

    @property
    def quota(self) -> int | None:
        """How many tasks may be taken in all."""
        counts = [n for n in (self._limits.tasks, self._limits.max_tasks or None) if n is not None]
        return min(counts, default=None)

    @property
    def told(self) -> bool:
        """The worker is to leave: it was told to, or it is through."""
        return self._through or self._orders.stop is not Stop.NO

    def follow(self, inbox: Inbox) -> None:
        """Read the orders, look at the limits, and act on them."""
        now = self._clock.monotonic()
        for name in self._orders.obey():
            log.info("%s received: %s", name, self._meaning())
            self.heard()
        inbox.hold(paused=self._orders.paused)
        if not self.told:
            self._look_at_limits(now, inbox)
        if self.told:
            inbox.close()
        if self._orders.stop is not Stop.NO:
            self._told_at = self._told_at or now
            self._press(now, inbox.current)

    def _meaning(self) -> str:
        if self._orders.stop is Stop.NOW:
            return "leaving now"
        if self.told:
            return "leaving after the current task"
        return "paused" if self._orders.paused else "working"

    def _look_at_limits(self, now: float, inbox: Inbox) -> None:
        limits = self._limits
        if (limits.seconds is not None and now >= self._born + limits.seconds) or self._drained(inbox):
            self.leave()
        elif inbox.quota == 0 and inbox.current is None:
            used_up = limits.tasks is None or inbox.taken < limits.tasks
            self.leave(EXIT_RECYCLE if used_up else 0)
        elif limits.max_memory and now >= self._memory_at:
            self._memory_at = now + 1.0
            if private_memory() > limits.max_memory:
                log.info("recycling: more than %d bytes of private memory", limits.max_memory)
                self.leave(EXIT_RECYCLE)

    def scanned(self, inbox: Inbox) -> None:
        """A scan found nothing."""
        if self._drained(inbox):
            self.leave()

    def _drained(self, inbox: Inbox) -> bool:
        """With `--drain`, that nothing is due anywhere is the end. What is paused is not waited for.

        What a scan saw counts only if it began after the last task had ended: that one may have enqueued something.
        """
        if not self._limits.drain or not inbox.empty:
            return False
        for station in self._stations:
            if station.empty and station.scanned_at < inbox.ended_at:
                station.ring()
        return all(station.empty or station.paused for station in self._stations)

    def leave(self, exit_code: int = 0) -> None:
        """End the current task, then leave, as by a limit of its own: no signal, and nothing to hurry (R19)."""
        if not self._through:
            self._through, self.exit_code = True, exit_code
        self._orders.poke()  # what was decided between two steps must not wait for the next thing that is due

    def _press(self, now: float, current: Work | None) -> None:
        if current is None:
            return
        grace = self._limits.grace
        if self._orders.stop is Stop.NOW or (grace is not None and now >= self._told_at + grace):
            if not self._asked_at:
                self._asked_at = now
                self.before_exit()
                self._watch.end_soon(current, WorkerStopping("the worker must leave now"), within=LAST_WORD + 0.5)
            elif now >= self._asked_at + LAST_WORD:
                log.error("task %s did not yield; the worker ends in the middle of it", current.id)
                faulthandler.dump_traceback(file=self._watch.stacks)
                os._exit(EXIT_FAILED)

    def over(self, inbox: Inbox, *, away: bool) -> bool:
        """Nothing is left to do. After a stop that means now, or past `grace`, a store that is away holds nobody."""
        if not self.told or inbox.current is not None:
            return False
        grace = self._limits.grace
        late = grace is not None and bool(self._told_at) and self._clock.monotonic() >= self._told_at + grace
        return inbox.empty or (away and (late or self._orders.stop is Stop.NOW))

    def next(self, now: float) -> float:
        """Monotonic time at which `follow` has something to do by itself; infinity if never."""
        limits = self._limits
        moments = []
        if self._asked_at:
            moments.append(self._asked_at + LAST_WORD)
        elif self._told_at and limits.grace is not None:
            moments.append(self._told_at + limits.grace)
        elif not self.told and limits.seconds is not None:
            moments.append(self._born + limits.seconds)
        return min((moment for moment in moments if moment > now), default=float("inf"))
