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
from taskqueue.web.problems import Problem
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


def route(app: App, scrape: Scrape | None = None) -> Route:
    """The route. Tokens that may read queues and workers may read it."""
    registry = CollectorRegistry()
    registry.register(Collector(app, scrape))  # type: ignore[arg-type]  # it asks for no more than `collect`

    def metrics(request: Request) -> Response:
        if not who(request).may(Right.READ_FLEET):
            raise Problem(403, "these are for readers and operators; show another token")
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    return Route("/metrics", metrics)
