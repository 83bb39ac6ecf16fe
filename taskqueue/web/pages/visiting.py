"""From a request to the page that answers it: strangers are led to the login, errors are said as people read them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from taskqueue.errors import BrokerUnavailable, TaskQueueError
from taskqueue.web import problems
from taskqueue.web.hub import Hub
from taskqueue.web.pages.board import Board
from taskqueue.web.pages.rendering import linker, render
from taskqueue.web.pages.visit import Visit, frame
from taskqueue.web.problems import Problem
from taskqueue.web.reading import bytes_of

Page = Callable[[Visit], Response]
First = Callable[[Visit], Awaitable[None]]
Endpoint = Callable[[Request], Awaitable[Response]]
#: fields of a form at most: a page of ticked tasks, and a few more
FIELDS = 2000
_TITLES = {403: "That is not for your role", 404: "There is no such thing", 503: "The store does not answer"}


async def _nothing(_visit: Visit) -> None:
    """Most pages wait for nothing."""


def visited(hub: Hub, board: Board, page: Page, *, first: First = _nothing) -> Endpoint:
    """The page as an endpoint. It blocks, so a thread runs it; `first` runs before it, and may wait for news."""

    async def endpoint(request: Request) -> Response:
        try:
            caller = hub.who(request)
        except Problem as problem:
            return stranger(request, problem)
        visit = Visit(request, hub.desk(request, caller), board, await fields_of(request))
        try:
            await first(visit)
            return await hub.threads.run(partial(page, visit))
        except (Problem, TaskQueueError) as error:
            return _failed(visit, error)

    return endpoint


async def fields_of(request: Request) -> list[tuple[str, str]]:
    """The fields of a form that was sent; none of anything else. Raises Problem 413, 422."""
    if request.method != "POST":
        return []
    try:
        body = (await bytes_of(request)).decode()
        return parse_qsl(body, keep_blank_values=True, max_num_fields=FIELDS)
    except ValueError:
        raise Problem(422, f"this is no form, or has more than {FIELDS:,} fields") from None


def stranger(request: Request, problem: Problem) -> Response:
    """To the login, and back afterwards."""
    if problem.status != 401:
        words = {"title": "That is refused", "text": problem.detail}
        return HTMLResponse(render("error.html", **frame(request, None, ""), **words), problem.status)
    if "hx-request" in request.headers:
        return Response(status_code=401)
    root = request.scope.get("root_path", "")
    wanted = request.url.path.removeprefix(root) if request.method == "GET" else ""
    return RedirectResponse(linker(root)("/login", next=wanted if wanted != "/" else None), 303)


def _failed(visit: Visit, error: Exception) -> Response:
    problem = problems.as_problem(error)
    if visit.request.method == "POST":
        return visit.done(problem.detail, "/", status=problem.status)
    if isinstance(error, BrokerUnavailable) and visit.partial:
        return visit.plain("trouble.html", status=503, text=problem.detail)
    title = _TITLES.get(problem.status, "That did not work")
    return visit.plain("error.html", status=problem.status, title=title, text=problem.detail)
