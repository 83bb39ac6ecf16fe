"""GET /metrics: all that Prometheus should know, in its text format or as OpenMetrics, whichever is asked for.

stores      how full the queues are, the task log, who works: the same from every host
this host   what its workers have counted, and its supervisor, where that one runs us
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from taskqueue import __version__
from taskqueue.app import App
from taskqueue.operations.stores import stores
from taskqueue.web.families import gauge
from taskqueue.web.measured import Latencies, Look, name_of, store_up
from taskqueue.web.tokens import Right, who

#: what the supervisor knows of its host
Scrape = Callable[[], Iterable[Metric]]
#: for so long, in seconds, a scrape waits for the stores: Prometheus itself gives up after 10 (`scrape_timeout`)
PATIENCE = 4.0


class Looking(threading.Thread):
    """One look at the stores, which may keep it waiting for longer than anybody waits for it."""

    def __init__(self, app: App, latencies: Latencies) -> None:
        super().__init__(name="metrics", daemon=True)
        self._app = app
        self._latencies = latencies
        self._found: list[Metric] | None = None

    def run(self) -> None:
        """The thread's life."""
        self._found = [*Look(self._app, self._latencies).families()]

    def answer(self) -> list[Metric]:
        """What they said; if that takes too long, that none of them is up."""
        self.join(PATIENCE)
        if self._found is not None:
            return self._found
        return [store_up({name_of(store): False for store in stores(self._app)})]


class Collector:
    """All metrics of this process, gathered anew at each scrape."""

    def __init__(self, app: App, scrape: Scrape | None = None) -> None:
        self._app = app
        self._scrape = scrape
        self._latencies = Latencies()
        self._lock = threading.Lock()
        self._looking: Looking | None = None

    def collect(self) -> Iterator[Metric]:
        """The families. A store that is away is one that is not up; what is known without it is told."""
        yield gauge("build_info", "The release that answers.", [({"version": __version__}, 1)])
        if self._scrape is not None:
            yield from self._scrape()
        yield from self._look().answer()
        yield self._latencies.family()

    def _look(self) -> Looking:
        """One at a time: while a store keeps us waiting, scrapers come back, and each would wait for it anew."""
        with self._lock:
            if self._looking is None or not self._looking.is_alive():
                self._looking = Looking(self._app, self._latencies)
                self._looking.start()
            return self._looking


class Exposition:
    """The metrics of one application, in whichever of Prometheus' formats is asked for."""

    def __init__(self, app: App, scrape: Scrape | None = None) -> None:
        self._app = app
        self._registry = CollectorRegistry()
        self._registry.register(Collector(app, scrape))

    def answer(self, request: Request) -> Response:
        """GET /metrics. Raises Problem for who may not read queues and workers."""
        who(request, self._app.settings.web.tokens, now=self._app.clock.micros() / 1e6).must(Right.READ_FLEET)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"Content-Type": content_type, "Cache-Control": "no-store"})


def route(app: App, scrape: Scrape | None = None) -> Route:
    """The route of GET /metrics."""
    return Route("/metrics", Exposition(app, scrape).answer)
