"""The composition root of the web: one ASGI application from an `App`."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from taskqueue.app import App
from taskqueue.errors import TaskQueueError
from taskqueue.web import dispatch, metrics, pages, problems
from taskqueue.web.guard import Guard
from taskqueue.web.hub import Hub
from taskqueue.web.metrics import Scrape
from taskqueue.web.problems import Problem
from taskqueue.web.routes import TABLE


def create(app: App, *, scrape: Scrape | None = None) -> Starlette:
    """An ASGI application that shows this `App`. It opens nothing before the first request, and can be mounted.

    `scrape` tells of the host for /metrics, where its supervisor runs us.
    Whoever serves it calls `state.hub.close()` when it stops, so that nobody is waited for.
    """
    hub = Hub(app)
    made = Starlette(
        routes=[
            Route("/healthz", _alive),
            metrics.route(app, scrape),
            *dispatch.paths(TABLE, hub),
            *pages.routes(hub),
        ],
        middleware=[Middleware(Guard, web=app.settings.web)],
        exception_handlers=dict.fromkeys((Problem, TaskQueueError, HTTPException, Exception), problems.handle),
    )
    made.router.redirect_slashes = False
    made.state.hub = hub
    return made


async def _alive(_request: Request) -> Response:
    """This process turns; no store is touched."""
    return PlainTextResponse("ok\n")
