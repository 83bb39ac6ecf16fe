"""The lifeline: a thread beside the task thread that does all of the worker's store traffic.

The task thread never waits for a store while there is work: the lifeline leases ahead of it and stores reports behind
it, both in one turn. It renews leases, gives back what waits too long behind a running task (P13), tells the task about
its time limit, its lease and a cancel, weathers outages (P15), and follows the worker's orders (P5, P6).
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence

from taskqueue.errors import BrokerUnavailable, Deposed
from taskqueue.tasklog.entry import Outcome
from taskqueue.worker.bells import Bells
from taskqueue.worker.crew import Crew
from taskqueue.worker.inbox import Inbox, Work, finished_of
from taskqueue.worker.leases import FLUSH, PATIENCE, Leases
from taskqueue.worker.leaving import Leaving
from taskqueue.worker.outage import Outage
from taskqueue.worker.station import Station
from taskqueue.worker.unpack import unpack

log = logging.getLogger(__name__)

#: a batch that would take others less than this is not worth sharing
WORTH_SHARING = 0.02


class Lifeline(threading.Thread):
    """Runs until the worker has stopped and everything is stored or given back."""

    def __init__(self, crew: Crew, inbox: Inbox, leaving: Leaving) -> None:
        super().__init__(name="lifeline", daemon=True)
        self.crew = crew
        self.inbox = inbox
        self.leaving = leaving
        self.clock = crew.clock
        self.orders = crew.orders
        self.watch = crew.watch
        self.stations: Sequence[Station] = crew.stations
        self.outage = Outage(crew.random)
        self.bells = Bells(self.stations, crew.orders)
        self.leases = Leases(crew, inbox)
        self.chores_at = 0.0
        self.failure: BaseException | None = None

    def run(self) -> None:
        """The thread's life."""
        try:
            while not self.leaving.over(self.inbox, away=self.outage.on):
                self._step()
            self.watch.disarm()
            self.crew.leave()
        except BaseException as error:
            log.critical("the lifeline broke; the worker leaves", exc_info=True)
            self.failure = error
        finally:
            self.inbox.abandon()
            self.bells.close()

    def _step(self) -> None:
        self.leaving.follow(self.inbox)
        self.watch.look(self.inbox.current)
        try:
            if self.clock.monotonic() >= self.outage.until:
                self._talk_to_stores()
            self._rest()
        except BrokerUnavailable as error:
            self.outage.failed(self.clock.monotonic(), error)
        except Deposed:
            self.leases.start_anew()

    def _talk_to_stores(self) -> None:
        now = self.clock.monotonic()
        if self.leases.look(now):
            self._worked()
        if now >= self.chores_at:
            self.crew.chores()
            self.chores_at = now + 1.0
        self._turns(now)

    def _worked(self) -> None:
        self.outage.worked(self.clock.monotonic())

    # Turns

    def _turns(self, now: float) -> None:
        """Store outcomes that are due; claim where more is wanted, the selector's first choice first."""
        left = self._due_outcomes(now)
        try:
            for station in self._hungry(now):
                found = self._turn(station, left.get(station, []), claim=True)
                left.pop(station, None)
                if found:
                    break
            for station in list(left):
                self._turn(station, left[station], claim=False)
                del left[station]
        except BaseException:
            self.inbox.put_back([pair for pairs in left.values() for pair in pairs])
            raise
        self.inbox.stored()

    def _due_outcomes(self, now: float) -> dict[Station, list[tuple[Work, Outcome]]]:
        by_station: dict[Station, list[tuple[Work, Outcome]]] = defaultdict(list)
        due = self.inbox.pending and (
            self.inbox.idle
            or self.inbox.hurry
            or self.inbox.closed
            or self.inbox.running_low
            or now >= self.inbox.oldest_finished + FLUSH
        )
        for work, outcome in self.inbox.collect() if due else ():
            by_station[self.crew.station_of(work)].append((work, outcome))
        return by_station

    def _hungry(self, now: float) -> Iterable[Station]:
        """Stations to scan now, in the order in which to try them."""
        current = self.inbox.current
        if self.leaving.told or self.orders.paused or self.inbox.closed or not self.inbox.running_low:
            return ()
        if current is not None and now > current.started + PATIENCE / 4:
            return ()  # what is claimed now would wait behind it
        ready = {s.queue.name: s for s in self.stations if not s.paused and not s.look_in(now)}
        return [ready[name] for name in self.crew.selector.order() if name in ready]

    def _turn(self, station: Station, pairs: list[tuple[Work, Outcome]], *, claim: bool) -> bool:
        """One turn at one queue; True if it brought work."""
        queue, sent = station.queue, self.clock.monotonic()
        limit = self._limit(station) if claim else 0
        if not pairs and (not limit or self._still_empty(station)):
            return False
        turn = queue.turn(finished_of(pairs), limit=limit, lease=queue.limits.lease, worker=self.crew.slot)
        self._worked()
        self._after_outcomes(station, pairs, turn.accepted)
        if not limit:
            return False
        lease_end = sent + queue.limits.lease
        works = [
            unpack(queue, held, self.crew.registry, worker=self.crew.slot, lease_end=lease_end) for held in turn.held
        ]
        self._accept(station, works, short=turn.short)
        return bool(works)

    def _still_empty(self, station: Station) -> bool:
        """Look before taking a lock that writers need; only where the last scan found nothing."""
        if not station.empty or station.queue.broker.ready():
            return False
        self._accept(station, [], short=True)
        return True

    def _limit(self, station: Station) -> int:
        waiting = sum(station.pace.expected(work.name) for work in self.inbox.ready)
        current = self.inbox.current
        if current is not None:
            taken = self.clock.monotonic() - current.started
            waiting += max(0.0, station.pace.expected(current.name) - taken)
        limit = min(station.pace.limit(waiting=waiting), station.queue.broker.capabilities.max_batch)
        quota = self.inbox.quota
        return limit if quota is None else max(0, min(limit, quota - self.inbox.waiting))

    def _after_outcomes(self, station: Station, pairs: list[tuple[Work, Outcome]], accepted: set[str]) -> None:
        for work, outcome in pairs:
            if outcome.id not in accepted:
                log.warning(
                    "a result came too late: the task is no longer this worker's", extra={"task_id": outcome.id}
                )
            if outcome.finished_at and outcome.started_at:
                station.pace.learn(work.name, (outcome.finished_at - outcome.started_at) / 1e6)

    def _accept(self, station: Station, works: list[Work], *, short: bool) -> None:
        """Keep about a batch's worth of what was claimed, and no more than our share of a queue that ran dry."""
        keep = station.pace.fitting([work.name for work in works])
        if short and len(works) > 1:
            total = sum(station.pace.expected(work.name) for work in works)
            if total > WORTH_SHARING:
                keep = min(keep, -(-len(works) // max(1, self.crew.peers(station.queue.name))))
        now = self.clock.monotonic()
        due_in = station.queue.broker.due_in() if short and not works else None
        station.scanned(now, found=len(works), short=short, due_in=due_in)
        self._arm(now, works[:keep])
        self.inbox.put(works[:keep])
        if works[keep:]:
            station.queue.release([work.held for work in works[keep:]])
            station.scanned(now, found=1, short=True, due_in=None)
        if works:
            self.crew.selector.took(station.queue.name, len(works[:keep]))
        self.leaving.scanned(works, self.inbox)

    # Rest

    def _rest(self) -> None:
        """Sleep until something is due, the worker is poked, or (when idle) a queue rings."""
        now = self.clock.monotonic()
        current = self.inbox.current
        self._arm(now)
        local = min(self.watch.next(current), self.leaving.next(), now + 5.0)
        stores = max(self._stores_due(now), self.outage.until)
        until = min(local, stores)
        if self.inbox.idle and not (self.outage.on or self.inbox.pending or self.leaving.told or self.orders.paused):
            self._idle(now, until)
        else:
            self.orders.wait(until - now)

    def _stores_due(self, now: float) -> float:
        due = min(self.leases.next(now), self.chores_at)
        if self.inbox.pending:
            due = min(due, self.inbox.oldest_finished + FLUSH)
        return due

    def _arm(self, now: float, more: Sequence[Work] = ()) -> None:
        unstarted = [*self.inbox.ready, *more]
        end = self.leases.end(now, more)
        if end is None:
            self.watch.disarm()
        else:
            self.watch.arm(self.inbox.current, unstarted, lease_end=end)

    def _idle(self, now: float, until: float) -> None:
        looks = [station.look_in(now) for station in self.stations if not station.paused]
        seconds = min([until - now, *looks])
        if seconds <= 0:
            return
        if all(station.quiet or station.paused for station in self.stations):
            self.bells.wait(seconds)
        else:
            self.orders.wait(seconds)
