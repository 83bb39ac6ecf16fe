"""What the worker holds: renewing it, giving it back, and what is said about it while it runs."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence

from taskqueue.errors import LeaseLost
from taskqueue.queue import Queue
from taskqueue.worker.crew import Crew
from taskqueue.worker.inbox import Inbox, Work

log = logging.getLogger(__name__)

#: a finished report waits so long for company; a task that runs longer is shown as running
FLUSH = 0.02
#: after a running task has taken so long, the unstarted ones behind it go back (P13)
PATIENCE = 0.2


class Leases:
    """The leases of one worker."""

    def __init__(self, crew: Crew, inbox: Inbox) -> None:
        self._crew = crew
        self._inbox = inbox
        self._renew_at = 0.0
        self._tell_at = 0.0
        self._shown: Work | None = None

    def look(self, now: float) -> bool:
        """Do what is due; whether the store answered anything."""
        due = now >= self._renew_at
        if due:
            self._renew(now)
        self._give_back(now)
        if now >= self._tell_at:
            self._show_current(now)
            self._look_for_cancels(now)
        return due

    def next(self, now: float) -> float:
        """Monotonic time of the next thing to do."""
        due = self._renew_at
        if self._inbox.current is not None:
            due = min(due, self._tell_at)
        if self._inbox.waiting:
            due = min(due, now + FLUSH)
        return due

    def end(self, now: float, more: Sequence[Work] = ()) -> float | None:
        """When the first of the leases, and of `more`, ends (monotonic); None if nothing is held."""
        return min((work.lease_end for work in [*self._all(), *more] if work.lease_end > now), default=None)

    def start_anew(self) -> None:
        """This incarnation was declared dead, and what it held was given to others: begin again as another."""
        log.warning("this worker was declared dead while it could not be heard; it begins again")
        for work in self._all():
            self._lost(work)
        self._inbox.withdraw()
        self._crew.join()

    def _renew(self, now: float) -> None:
        """Renew every lease, and our place in the register, at a third of the lease."""
        lease = self._crew.lease
        self._crew.renew(lease)
        for queue, works in _by_queue(self._all()).items():
            kept = queue.extend([work.held for work in works], lease=queue.limits.lease)
            for work in works:
                if work.id in kept:
                    # Counted from before the request was sent (R3).
                    work.lease_end = now + queue.limits.lease
                elif not self._is_over(work):
                    self._lost(work)
        self._renew_at = now + lease / 3

    def _is_over(self, work: Work) -> bool:
        """It ended while we asked: its outcome may have been stored, and its lease with it."""
        return work is not self._inbox.current and work not in self._inbox.ready

    def _lost(self, work: Work) -> None:
        work.lease_end = 0.0
        if work is self._inbox.current:
            self._crew.interrupter.interrupt(
                work.run, LeaseLost("the lease is over; another worker may start this task")
            )

    def _all(self) -> list[Work]:
        current = self._inbox.current
        return [*self._inbox.ready, *([current] if current is not None else [])]

    def _give_back(self, now: float) -> None:
        """Unstarted work goes back on pause, on stop, and from behind a long task (P5, P6, P13)."""
        if not self._inbox.waiting:
            return
        current = self._inbox.current
        stuck = current is not None and now >= current.started + PATIENCE
        everything = stuck or self._crew.orders.paused or self._inbox.closed
        paused = {station.queue.name for station in self._crew.stations if station.paused}
        back = self._inbox.withdraw(keep=lambda work: not everything and work.queue.name not in paused)
        for queue, works in _by_queue(back).items():
            queue.release([work.held for work in works])

    def _show_current(self, now: float) -> None:
        """A task that has run for a while is shown as running, with its progress."""
        work = self._inbox.current
        if work is None or now < work.started + FLUSH:
            return
        task_log, fence = work.queue.task_log, work.held.claim.fence
        if work is not self._shown:
            at = self._crew.clock.micros() - int((now - work.started) * 1e6)
            task_log.start(work.id, fence=fence, attempt=work.held.claim.attempts + 1, at=at)
            self._shown = work
        progress, work.progress = work.progress, None
        if progress is not None:
            task_log.progress(work.id, fence=fence, progress=progress)

    def _look_for_cancels(self, now: float) -> None:
        """Read the cancel flags of what is held: often for young tasks, once a second for old ones (P12, R12)."""
        current = self._inbox.current
        age = now - current.started if current is not None else 0.0
        self._tell_at = now + min(1.0, max(0.05, age / 10))
        for queue, works in _by_queue(self._all()).items():
            flagged = queue.task_log.cancel_flags([work.id for work in works])
            for work in works:
                work.cancelled = work.cancelled or work.id in flagged


def _by_queue(works: list[Work]) -> dict[Queue, list[Work]]:
    grouped: dict[Queue, list[Work]] = defaultdict(list)
    for work in works:
        grouped[work.queue].append(work)
    return grouped
