"""What the worker holds: renewing it, giving it back, and what is said about it while it runs.

Each store is asked by itself, so that one which is away costs only its own leases (P14, P15); and what works at one
says nothing about the other one of a queue that has two.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable

from taskqueue.errors import BrokerUnavailable, LeaseLost
from taskqueue.queue import Queue
from taskqueue.worker.crew import Crew
from taskqueue.worker.inbox import Inbox, Work
from taskqueue.worker.outage import Outages

log = logging.getLogger(__name__)

#: a finished report waits so long for company; a task that runs longer is shown as running
FLUSH = 0.02
#: after a running task has taken so long, the unstarted ones behind it go back (P13)
PATIENCE = 0.2
#: what the claim said of a task's cancel is news for so long
YOUNG = 0.1
#: a task whose lease is lost has so long, in seconds, to yield before its worker ends
YIELD = 1.0


class Leases:
    """The leases of one worker."""

    def __init__(self, crew: Crew, inbox: Inbox, outages: Outages) -> None:
        self._crew = crew
        self._inbox = inbox
        self.outages = outages
        #: by store (a queue, or a database's register): when its leases are to be renewed
        self._renew_at: dict[object, float] = {}
        self._tell_at = 0.0
        self._shown: Work | None = None

    def look(self, now: float) -> None:
        """Do what is due."""
        self._renew(now)
        self._give_back(now)
        if now >= self._tell_at:
            self._show_current(now)
            self._look_for_cancels(now)

    def next(self, now: float) -> float:
        """Monotonic time of the next thing to do."""
        moments = [max(self._renew_at.get(store, now), self.outages.until(store)) for store in self._crew.databases]
        current, held = self._inbox.current, self._inbox.held
        queues, waiting = {work.queue for work in held}, {work.queue for work in held if work is not current}
        moments += [max(self._renew_at.get(queue, now), self.outages.until(queue.lease_store)) for queue in queues]
        moments += [max(now + FLUSH, self.outages.until(queue)) for queue in waiting]
        if current is not None:
            moments.append(self._tell_at)
        return min(moments, default=now + 5.0)

    def lose_all(self) -> None:
        """This incarnation was declared dead, and what it held was given to others."""
        log.warning("this worker was declared dead while it could not be heard; it begins again")
        lost = self._inbox.withdraw()
        current = self._inbox.current
        for work in [*lost, *([current] if current is not None else [])]:
            self._lost(work)

    # Renewing

    def _renew(self, now: float) -> None:
        """Renew every lease, and our place in the registers, at a third of the lease."""
        for database in self._crew.databases:
            if self._due(database, now, at=database):
                with self.outages.weathered(database):
                    self._crew.renew(database)
                    self.outages.worked(database)
                    self._renew_at[database] = now + self._crew.lease / 3
        for queue, works in _by_queue(work for work in self._inbox.held if work.lease_end).items():
            if self._due(queue, now, at=queue.lease_store):
                with self.outages.weathered(queue.lease_store):
                    self._extend(queue, works, now)
                    self.outages.worked(queue.lease_store)
                    self._renew_at[queue] = now + queue.limits.lease / 3

    def claimed(self, queue: Queue, *, sent: float) -> None:
        """New work of that queue is held, by a request that was sent then; the first of it sets the time to renew."""
        if not any(work.queue is queue for work in self._inbox.held):
            self._renew_at[queue] = sent + queue.limits.lease / 3

    def _due(self, held: object, now: float, *, at: object) -> bool:
        return now >= self._renew_at.get(held, 0.0) and not self.outages.away(at)

    def _extend(self, queue: Queue, works: list[Work], now: float) -> None:
        # The lifeline may have been kept by another store since `now`: time counts from before the request (R3).
        sent = max(now, self._crew.clock.monotonic())
        kept = queue.extend([work.held for work in works], lease=queue.limits.lease)
        for work in works:
            if work.id in kept:
                work.lease_end = sent + queue.limits.lease
            elif not self._is_over(work):
                self._lost(work)

    def _is_over(self, work: Work) -> bool:
        """It ended while we asked: its outcome may have been stored, and its lease with it."""
        return work not in self._inbox.held

    def _lost(self, work: Work) -> None:
        work.lease_end = 0.0
        if work is self._inbox.current:
            reason = LeaseLost("the lease is over; another worker may start this task")
            self._crew.watch.end_soon(work, reason, within=YIELD)
        elif self._crew.counters is not None:
            self._crew.counters.lost(work)

    # Giving back

    def _give_back(self, now: float) -> None:
        """Unstarted work goes back on pause, on stop, and from behind a long task (P5, P6, P13)."""
        if not self._inbox.waiting:
            return
        current = self._inbox.current
        stuck = current is not None and now >= current.started + PATIENCE
        everything = stuck or self._crew.orders.paused or self._inbox.closed
        paused = {station.queue.name for station in self._crew.stations if station.paused}
        self.give_back(
            self._inbox.withdraw(
                keep=lambda work: self.outages.away(work.queue) or not (everything or work.queue.name in paused)
            )
        )

    def give_back(self, works: Iterable[Work]) -> None:
        """Return this unstarted work to its queues; what cannot be returned now is still ours."""
        for queue, back in _by_queue(works).items():
            with self.outages.weathered(queue):
                try:
                    queue.release([work.held for work in back])
                except BrokerUnavailable:
                    self._inbox.restore(back)
                    raise
                self.outages.worked(queue)

    # Telling

    def _show_current(self, now: float) -> None:
        """A task that has run for a while is shown as running, with its progress."""
        work = self._inbox.current
        if work is None or now < work.started + FLUSH or self.outages.away(work.queue.log_store):
            return
        with self.outages.weathered(work.queue.log_store):
            self._show(work, now)

    def _show(self, work: Work, now: float) -> None:
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
        self._tell_at = now + min(1.0, max(YOUNG, age / 10))
        for queue, works in _by_queue(work for work in self._inbox.held if now >= work.claimed + YOUNG).items():
            if self.outages.away(queue.log_store):
                continue
            with self.outages.weathered(queue.log_store):
                flagged = queue.task_log.cancel_flags([work.id for work in works])
                self.outages.worked(queue.log_store)
                for work in works:
                    work.cancelled = work.cancelled or work.id in flagged


def _by_queue(works: Iterable[Work]) -> dict[Queue, list[Work]]:
    grouped: dict[Queue, list[Work]] = defaultdict(list)
    for work in works:
        grouped[work.queue].append(work)
    return grouped
