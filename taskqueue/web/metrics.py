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
from taskqueue.web.families import gauge
from taskqueue.web.measured import Latencies, Look
from taskqueue.web.tokens import Right, who

#: what the supervisor knows of its host
Scrape = Callable[[], Iterable[Metric]]
#: for so long, in seconds, a scrape waits for one that is under way; then it goes without what the stores say
PATIENCE = 2.0


class Collector:
    """All metrics of this process, gathered anew at each scrape."""

    def __init__(self, app: App, scrape: Scrape | None = None) -> None:
        self._app = app
        self._scrape = scrape
        self._latencies = Latencies()
        self._busy = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """The families. A store that is away is one that is not up; what is known without it is told."""
        yield gauge("build_info", "The release that answers.", [({"version": __version__}, 1)])
        if self._scrape is not None:
            yield from self._scrape()
        # One at a time: while a store keeps us waiting, scrapers come back and would fill all threads.
        if self._busy.acquire(timeout=PATIENCE):
            try:
                yield from [*Look(self._app, self._latencies).families(), self._latencies.family()]
            finally:
                self._busy.release()


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
