"""The composition root of the web: one ASGI application from an `App`."""

from __future__ import annotations

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from taskqueue.app import App
from taskqueue.errors import TaskQueueError
from taskqueue.web import metrics, problems
from taskqueue.web.metrics import Scrape
from taskqueue.web.problems import Problem
from taskqueue.web.tokens import who


def create(app: App, *, scrape: Scrape | None = None) -> Starlette:
    """An ASGI application that shows this `App`; it can be mounted in another one.

    `scrape` tells of the host for /metrics, where its supervisor runs us.
    """
    made = Starlette(
        routes=[Route("/healthz", alive), metrics.route(app, scrape), Route("/api/v1/tasks/{id}", task)],
        exception_handlers={Problem: problems.answer, TaskQueueError: problems.answer},
    )
    made.state.taskqueue = app
    return made


async def alive(_request: Request) -> Response:
    """This process turns; no store is touched."""
    return PlainTextResponse("ok\n")


def task(request: Request) -> Response:
    """One entry."""
    app = request.app.state.taskqueue
    caller = who(request, app.settings.web.tokens, now=app.clock.micros() / 1e6)
    log = app.task_log if caller.owner is None else app.task_log.for_owner(caller.owner)
    entry = log.get(request.path_params["id"])
    return Response(msgspec.json.encode({"id": entry.id, "status": entry.status.label}), media_type="application/json")
