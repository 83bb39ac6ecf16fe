"""From a request to the function that answers it, and back, as the table says."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.routing import Route as Path
from starlette.types import Receive, Scope, Send

from taskqueue.web.answering import answer
from taskqueue.web.hub import Hub
from taskqueue.web.problems import Problem
from taskqueue.web.reading import body_of, query_of
from taskqueue.web.routes import Route

log = logging.getLogger(__name__)

PREFIX = "/api/v1"
Methods = Mapping[str, Route]


def paths(table: Iterable[Route], hub: Hub) -> list[BaseRoute]:
    """One for each path of the table; they know which methods there are."""
    by_path: dict[str, dict[str, Route]] = defaultdict(dict)
    for route in table:
        by_path[route.path][route.method] = route
    return [Path(PREFIX + path, _Endpoint(hub, methods)) for path, methods in by_path.items()]


class _Endpoint:
    """One path: an ASGI application that knows its methods."""

    def __init__(self, hub: Hub, methods: Methods) -> None:
        self._hub = hub
        self._methods = methods
        self._allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        allow = {"Allow": self._allowed}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=allow)
        route = self._methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            raise Problem(405, f"{request.method[:20]} is not for this path: {self._allowed}", headers=allow)
        return await _serve(self._hub, route, request)


async def _serve(hub: Hub, route: Route, request: Request) -> Response:
    caller = hub.who(request)
    caller.must(route.right)
    arguments: dict[str, Any] = dict(request.path_params)
    if route.query is not None:
        arguments["query"] = query_of(request, route.query)
    if route.body is not None:
        arguments["body"] = await body_of(request, route.body)
    call = partial(route.endpoint, hub.desk(request, caller), **arguments)
    value = await (_while_there(request, call()) if route.waits else hub.threads.run(call))
    if route.method != "GET":
        log.info("%s %s", route.method, request.url.path, extra={"by": caller.name})
    if isinstance(value, Response):
        return value
    return answer(request, value, status=route.status, headers=_location(request, route, value))


def _location(request: Request, route: Route, value: Any) -> dict[str, str]:
    """Where what was made can be looked at."""
    if not route.location:
        return {}
    root = request.scope.get("root_path", "")
    return {"Location": f"{root}{PREFIX}{route.location.format_map(msgspec.structs.asdict(value))}"}


async def _while_there(request: Request, work: Any) -> Any:
    """What it comes to; it is ended when whoever asked is gone, as nobody needs its answer then."""
    tasks = working, _ = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Problem(408, "whoever asked is gone")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
