"""What the stores say, as metrics: how full the queues are, what is in the task log, who works.

Every store is asked by itself: one that is away takes nothing from what the others say.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from time import monotonic
from typing import TypeVar, get_args

from prometheus_client.metrics_core import Metric

from taskqueue.app import App
from taskqueue.errors import TaskQueueError
from taskqueue.operations.hosts import Host, hosts
from taskqueue.operations.queues import QueueState, state_of
from taskqueue.operations.stores import Store, stores
from taskqueue.operations.workers import workers
from taskqueue.snapshot import SlotState
from taskqueue.status import Status
from taskqueue.web.families import gauge, histogram
from taskqueue.worker.counters import Histogram

log = logging.getLogger(__name__)
T = TypeVar("T")

#: upper bounds of how long a store takes for an answer, in seconds
LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Latencies:
    """How long stores took to answer our own questions, since this process began."""

    def __init__(self) -> None:
        self._by_store: dict[str, Histogram] = {}

    def note(self, store: str, seconds: float) -> None:
        """One more answer."""
        self._by_store.setdefault(store, Histogram.over(LATENCIES)).note(LATENCIES, seconds)

    def family(self) -> Metric:
        """The metric."""
        samples = [({"store": store}, values) for store, values in list(self._by_store.items())]
        words = "How long a store took to answer what was asked for these metrics."
        return histogram("store_latency_seconds", words, LATENCIES, samples)


class Look:
    """One look at all stores."""

    def __init__(self, app: App, latencies: Latencies) -> None:
        self._app = app
        self._latencies = latencies
        self._up: dict[str, bool] = {}

    def families(self) -> Iterator[Metric]:
        """What they say, and which of them said nothing."""
        found = stores(self._app)
        of = {queue: store for store in found for queue in store.queues}
        states = [self._ask(of[name], partial(state_of, self._app, queue)) for name, queue in self._app.queues.items()]
        yield from _of_queues([state for state in states if state is not None])
        task_log = next(store for store in found if store.task_log)
        yield _entries(self._ask(task_log, self._app.task_log.stats) or {})
        if all(self._up.values()):
            yield self._workers(task_log)
            yield from _of_hosts(self._ask(task_log, partial(hosts, self._app)) or [])
        yield store_up(self._up)

    def _workers(self, store: Store) -> Metric:
        alive = self._ask(store, lambda: workers(self._app)) or []
        counted = Counter((queue, one.state) for one in alive for queue in one.queues)
        samples = [({"queue": queue, "state": state}, count) for (queue, state), count in sorted(counted.items())]
        return gauge("workers", "Living workers of all hosts, by each queue that they serve.", samples)

    def _ask(self, store: Store, question: Callable[[], T]) -> T | None:
        """The answer; None from a store that is away, or was a moment ago: each question would wait for it anew."""
        name = name_of(store)
        if not self._up.setdefault(name, True):
            return None
        began = monotonic()
        try:
            answer = question()
        except TaskQueueError as error:
            log.debug("no metrics of store %s: %s", name, error)
            self._up[name] = False
            return None
        self._latencies.note(name, monotonic() - began)
        return answer


def store_up(found: Mapping[str, bool]) -> Metric:
    """The metric that says which stores answer."""
    return gauge("store_up", "Whether the store answers.", [({"store": store}, up) for store, up in found.items()])


def name_of(store: Store) -> str:
    """What a store is called: by its first broker's name."""
    return store.broker_names[0] if store.broker_names else "task_log"


def _of_queues(states: list[QueueState]) -> Iterator[Metric]:
    counts = [
        ({"queue": one.queue, "state": state}, getattr(one, state))
        for one in states
        for state in ("waiting", "delayed", "leased")
    ]
    yield gauge("queue_messages", "Messages in a queue: due, not due yet, and held by workers.", counts)
    ages = [({"queue": one.queue}, one.oldest if one.waiting else 0.0) for one in states]
    yield gauge("queue_oldest_age_seconds", "How long the oldest task that is due has waited; 0 if none waits.", ages)
    paused = [({"queue": one.queue}, one.pause is not None) for one in states]
    yield gauge("queue_paused", "Whether the queue is paused for the whole fleet.", paused)
    serving = [({"queue": one.queue}, one.workers) for one in states]
    yield gauge("queue_workers", "Living workers of all hosts that serve the queue.", serving)


def _of_hosts(found: list[Host]) -> Iterator[Metric]:
    up = [({"host": host.name}, host.lease >= 0) for host in found]
    yield gauge("host_up", "Whether the host's supervisor was heard of in time.", up)
    states = [
        ({"host": host.name, "state": state}, sum(slot.state == state for slot in host.snapshot.slots))
        for host in found
        if host.snapshot is not None
        for state in get_args(SlotState)
    ]
    yield gauge("host_workers", "Processes of the host's supervisor, by state.", states)
    degraded = [({"host": host.name}, host.snapshot.degraded) for host in found if host.snapshot is not None]
    yield gauge("host_degraded", "Whether the host misses a worker, or has a problem.", degraded)


def _entries(stats: dict[str, dict[Status, int]]) -> Metric:
    samples = [
        ({"queue": queue, "status": status.label.replace(" ", "_")}, count)
        for queue, counts in stats.items()
        for status, count in counts.items()
    ]
    return gauge("entries", "Tasks in the task log.", samples)
