"""The worker's turns at its queues: outcomes of the last tasks stored, the next ones claimed, in one step if possible.

A batch is about 100 ms worth of tasks. What cannot be stored waits for its store's return (P15); what a store refuses
for its own content is stored singly, and fails alone.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import UNSET

from taskqueue.errors import BrokerUnavailable, Deposed
from taskqueue.queue import Finished, Turn
from taskqueue.tasklog.entry import Outcome
from taskqueue.worker import outcomes
from taskqueue.worker.crew import Crew
from taskqueue.worker.guard import Guard
from taskqueue.worker.inbox import Inbox, Work
from taskqueue.worker.leases import FLUSH, PATIENCE, Leases
from taskqueue.worker.leaving import Leaving
from taskqueue.worker.station import Station
from taskqueue.worker.unpack import unpack

log = logging.getLogger(__name__)

#: a batch that would take others less than this is not worth sharing
WORTH_SHARING = 0.02
Pairs = list[tuple[Work, Outcome]]


class Turns:
    """Stores and claims for one worker."""

    def __init__(self, crew: Crew, inbox: Inbox, leaving: Leaving, leases: Leases, guard: Guard) -> None:
        self._crew = crew
        self._inbox = inbox
        self._leaving = leaving
        self._leases = leases
        self._outages = leases.outages
        self._guard = guard
        self._clock = crew.clock
        self._stations: Sequence[Station] = crew.stations

    def take(self, now: float, *, claiming: bool) -> None:
        """Store outcomes that are due; claim where more is wanted, the selector's first choice first."""
        left = self._due_outcomes(now)
        try:
            for station in self._hungry(now) if claiming else ():
                if self._weathered(station, left, claim=True):
                    break
            for station in list(left):
                self._weathered(station, left, claim=False)
        finally:
            self._inbox.put_back([pair for pairs in left.values() for pair in pairs])
        self._inbox.stored()

    def store_all(self) -> None:
        """Store what is pending, once, for a worker that can do nothing more."""
        left = self._by_station(self._inbox.collect())
        for station in list(left):
            self._weathered(station, left, claim=False)

    def next(self, now: float) -> float:
        """Monotonic time at which an outcome has waited long enough for company."""
        stores = {work.queue for work in self._inbox.pending}
        due = self._inbox.oldest_finished + FLUSH
        return min((max(due, self._outages.until(queue)) for queue in stores), default=now + 5.0)

    def looks(self, now: float) -> list[float]:
        """Seconds until each queue that may be asked is worth a scan."""
        return [
            max(station.look_in(now), self._outages.until(station.queue) - now)
            for station in self._stations
            if not station.paused
        ]

    # Outcomes

    def _due_outcomes(self, now: float) -> dict[Station, Pairs]:
        inbox = self._inbox
        due = inbox.idle or inbox.hurry or inbox.closed or inbox.running_low or now >= inbox.oldest_finished + FLUSH
        if not due:
            return {}
        away = {station.queue for station in self._stations if self._outages.away(station.queue)}
        return self._by_station(inbox.collect(lambda work: work.queue not in away))

    def _by_station(self, pairs: Iterable[tuple[Work, Outcome]]) -> dict[Station, Pairs]:
        by_station: dict[Station, Pairs] = defaultdict(list)
        for work, outcome in pairs:
            by_station[self._crew.station_of(work)].append((work, outcome))
        return by_station

    def _after_outcomes(self, station: Station, pairs: Pairs, accepted: set[str]) -> None:
        counters = self._crew.counters
        for work, outcome in pairs:
            if counters is not None:
                counters.count(work, outcome, accepted=outcome.id in accepted)
            if outcome.id not in accepted:
                log.warning(
                    "a result came too late: the task is no longer this worker's", extra={"task_id": outcome.id}
                )
            if outcome.finished_at and outcome.started_at:
                station.pace.learn(work.name, (outcome.finished_at - outcome.started_at) / 1e6)
            if not outcome.status.ended:
                station.ring()  # it may be due again

    # Claims

    def _hungry(self, now: float) -> Iterable[Station]:
        """Stations to scan now, in the order in which to try them."""
        current = self._inbox.current
        if self._leaving.told or self._crew.orders.paused or self._inbox.closed or not self._inbox.running_low:
            return ()
        if current is not None and (now > current.started + PATIENCE / 4 or not current.lease_end):
            return ()  # what is claimed now would wait behind it, or end with this worker
        ready = {
            station.queue.name: station
            for station in self._stations
            if not (station.paused or station.look_in(now) or self._outages.away(station.queue))
        }
        return [ready[name] for name in self._crew.selector.order() if name in ready]

    def _weathered(self, station: Station, left: dict[Station, Pairs], *, claim: bool) -> bool:
        """One turn, if its store answers; what was stored is taken from `left`. True if it brought work."""
        with self._outages.weathered(station.queue):
            return self._turn(station, left, claim=claim)
        return False

    def _turn(self, station: Station, left: dict[Station, Pairs], *, claim: bool) -> bool:
        queue, sent = station.queue, self._clock.monotonic()
        pairs = left.get(station, [])
        limit = self._limit(station) if claim else 0
        if not pairs and (not limit or (not queue.looks_by_claiming and self._still_empty(station))):
            return False
        turn = self._ask(station, pairs, limit=limit)
        left.pop(station, None)
        if limit or queue.log_store is queue:  # of two stores, outcomes alone may have needed only the task log's
            self._outages.worked(queue)
        self._after_outcomes(station, pairs, turn.accepted)
        if not limit:
            return False
        lease_end = sent + queue.limits.lease
        works = [
            unpack(queue, held, self._crew.registry, worker=self._crew.slot, lease_end=lease_end) for held in turn.held
        ]
        for work in works:
            work.claimed = sent
        self._accept(station, works, turn, sent=sent)
        return bool(works)

    def _ask(self, station: Station, pairs: Pairs, *, limit: int) -> Turn:
        queue = station.queue
        try:
            return queue.turn(_finished_of(pairs), limit=limit, lease=queue.limits.lease, worker=self._crew.slot)
        except (BrokerUnavailable, Deposed):
            raise
        except Exception:
            if not pairs:
                raise
            log.exception("a turn was refused; its outcomes are stored one by one", extra={"queue": queue.name})
        accepted: set[str] = set()
        for n, (work, outcome) in enumerate(pairs):
            stored, ids = self._store_one(station, work, outcome)
            pairs[n] = work, stored
            accepted |= ids
        return Turn(held=[], accepted=accepted, short=False)

    def _store_one(self, station: Station, work: Work, outcome: Outcome) -> tuple[Outcome, set[str]]:
        queue = station.queue
        instead = outcomes.unstorable(work, outcome, at=self._clock.micros())
        for one in (outcome, instead):
            try:
                turn = queue.turn(_finished_of([(work, one)]), limit=0, lease=queue.limits.lease, worker=work.worker)
            except (BrokerUnavailable, Deposed):
                raise
            except Exception:
                log.exception("the store refuses an outcome", extra={"task_id": work.id, "queue": queue.name})
            else:
                return one, turn.accepted
        return instead, set()  # Its lease ends, and with it the run.

    def _still_empty(self, station: Station) -> bool:
        """Look before taking a lock that writers need; only where the last scan found nothing."""
        sent = self._clock.monotonic()
        if not station.empty or station.queue.broker.ready():
            return False
        self._outages.worked(station.queue)
        self._accept(station, [], Turn(held=[], accepted=set(), short=True), sent=sent)
        return True

    def _limit(self, station: Station) -> int:
        waiting = sum(station.pace.expected(work.name) for work in self._inbox.ready)
        current = self._inbox.current
        if current is not None:
            taken = self._clock.monotonic() - current.started
            waiting += max(0.0, station.pace.expected(current.name) - taken)
        limit = min(station.pace.limit(waiting=waiting), station.queue.broker.capabilities.max_batch)
        quota = self._inbox.quota
        return limit if quota is None else max(0, min(limit, quota - self._inbox.waiting))

    def _accept(self, station: Station, works: list[Work], turn: Turn, *, sent: float) -> None:
        """Keep about a batch's worth of what was claimed, and no more than our share of a queue that ran dry."""
        keep = station.pace.fitting([work.name for work in works])
        if turn.short and len(works) > 1:
            total = sum(station.pace.expected(work.name) for work in works)
            if total > WORTH_SHARING:
                keep = min(keep, -(-len(works) // max(1, self._crew.peers(station.queue.name))))
        self._guard.arm(works[:keep])
        self._leases.claimed(station.queue, sent=sent)
        # In our hands first: whatever fails from here on finds it there.
        self._inbox.put(works[:keep])
        self._guard.wake()
        due_in = None
        if turn.short and not works:
            due_in = station.queue.broker.due_in() if turn.due_in is UNSET else turn.due_in
        station.scanned(sent, self._clock.monotonic(), found=len(works), short=turn.short, due_in=due_in)
        if works[keep:]:
            self._leases.give_back(works[keep:])
            station.scanned(sent, self._clock.monotonic(), found=1, short=True, due_in=None)
        if works:
            self._crew.selector.took(station.queue.name, len(works[:keep]))
        else:
            self._leaving.scanned(self._inbox)


def _finished_of(pairs: Iterable[tuple[Work, Outcome]]) -> list[Finished]:
    return [Finished(work.held.delivery, outcome) for work, outcome in pairs]
