"""What Overview and Fleet know: queues, hosts and rates at one moment, read once a second whoever looks."""

from __future__ import annotations

from threading import Lock

import msgspec

from taskqueue.app import App
from taskqueue.database.incarnations import Incarnation
from taskqueue.errors import BrokerUnavailable, TaskQueueError
from taskqueue.operations import hosts as fleet
from taskqueue.operations import queues as states
from taskqueue.operations.hosts import Host
from taskqueue.operations.queues import QueueState
from taskqueue.operations.workers import workers
from taskqueue.status import Status
from taskqueue.web.pages.rates import Rates, Stats

#: seconds for which what was read is shown to others too
FRESH = 0.9
#: seconds for which keepers are asked to tell of their hosts each second
WATCH = 15.0


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `now` is in microseconds since 1970; `away` says of queues whose own store is away what it says."""

    now: int
    stats: Stats
    queues: dict[str, QueueState]
    away: dict[str, str]
    hosts: list[Host]
    #: workers that no known host speaks of
    alone: list[Incarnation]

    def count(self, *statuses: Status, queue: str | None = None) -> int:
        """How many tasks of all queues, or of one, have one of these statuses."""
        named = self.stats.values() if queue is None else [self.stats.get(queue, {})]
        return sum(counts.get(status, 0) for counts in named for status in statuses)


class Board:
    """Reads it for all who look."""

    def __init__(self, app: App) -> None:
        self.rates = Rates()
        self._app = app
        self._lock = Lock()
        self._last: Moment | None = None
        self._read_at = 0.0
        self._watched_until = 0.0

    def moment(self) -> Moment:
        """As it is now, or was less than a second ago. Raises BrokerUnavailable if the task log's store is away."""
        with self._lock:
            now = self._app.clock.monotonic()
            if self._last is None or now - self._read_at > FRESH:
                self._watch(now)
                self._last = self._read()
                self._read_at = self._app.clock.monotonic()
            return self._last

    def forget(self) -> None:
        """Something was changed: the next to look sees it."""
        self._read_at = 0.0

    def _watch(self, now: float) -> None:
        if now > self._watched_until - WATCH / 2:
            fleet.watch(self._app, WATCH)
            self._watched_until = now + WATCH

    def _read(self) -> Moment:
        app = self._app
        stats, micros = app.task_log.stats(), app.clock.micros()
        self.rates.look(app.task_log, stats, now=micros / 1e6)
        queues: dict[str, QueueState] = {}
        away: dict[str, str] = {}
        for name in app.settings.queues:
            try:
                queues[name] = states.state_of(app, app.dispatcher.queue(name))
            except (BrokerUnavailable, TaskQueueError) as error:
                away[name] = str(error)
        hosts, alone = _hosts(app)
        return Moment(now=micros, stats=stats, queues=queues, away=away, hosts=hosts, alone=alone)


def _hosts(app: App) -> tuple[list[Host], list[Incarnation]]:
    hosts = fleet.hosts(app)
    told = {host.name for host in hosts}
    return hosts, [
        one for one in workers(app) if one.kind == "worker" and ("/" not in one.slot or one.host not in told)
    ]
