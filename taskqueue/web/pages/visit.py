"""One visit of a page: who asks, what they may see, and how the page is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from taskqueue.app import App
from taskqueue.errors import BrokerUnavailable, TaskQueueError
from taskqueue.tasklog.reading import TaskLog
from taskqueue.web import problems
from taskqueue.web.pages.rendering import linker, mark_of, render
from taskqueue.web.problems import Problem
from taskqueue.web.tokens import ANYBODY, Caller, Right, who

SECTIONS = (("/", "Overview"), ("/tasks", "Tasks"), ("/fleet", "Fleet"), ("/health", "Health"))
#: what a caller must be able to see of the fleet to be shown these
OF_THE_FLEET = frozenset({"/", "/fleet", "/health"})


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """A caller as templates ask about them."""

    name: str
    role: str
    owner: str | None
    #: they logged in, and can log out
    named: bool
    sees_fleet: bool
    #: may change tasks
    changes: bool
    #: may change queues and workers
    orders: bool


class Visit:
    """A request, with what its page needs."""

    def __init__(self, request: Request, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.app: App = request.app.state.taskqueue
        self.link = linker(request.scope.get("root_path", ""))

    @property
    def task_log(self) -> TaskLog:
        """What this caller may see of the task log."""
        log = self.app.task_log
        return log if self.caller.owner is None else log.for_owner(self.caller.owner)

    @property
    def partial(self) -> bool:
        """Only the part of the page that changes is asked for."""
        return "hx-request" in self.request.headers

    @property
    def by(self) -> str:
        """Who does something, as people read it."""
        return "dashboard" if self.caller is ANYBODY else f"{self.caller.name} (dashboard)"

    def need(self, right: Right) -> None:
        """Raise Problem 403 if the caller may not."""
        if not self.caller.may(right):
            raise Problem(403, f"a token with the role {self.caller.role!r} may not {right.value}")

    def show(self, name: str, *, section: str = "", status: int = 200, live: str = "", **context: Any) -> Response:
        """That page, or its part that changes. `live` says how the browser keeps it up to date (dashboard.js)."""
        given = {"trouble": None, "live": live, **self._frame(section), **context}
        block = "page" if self.partial else None
        return HTMLResponse(render(name, block=block, **given), status)

    def plain(self, name: str, *, status: int = 200, **context: Any) -> Response:
        """A template that is no page with a part that changes: all of it."""
        return HTMLResponse(render(name, **self._frame(""), **context), status)

    def done(self, text: str, back: str, *, status: int = 200) -> Response:
        """A change was made, or refused: say so, and go back where the visitor was."""
        if self.partial:
            said = json.dumps({"said": {"text": text}})
            return Response(status_code=204 if status == 200 else status, headers={"HX-Trigger": said})
        if status != 200:
            return self.plain("error.html", status=status, title=text, text="")
        return RedirectResponse(self.link(back), 303)

    def go(self, path: str, **query: Any) -> Response:
        """To another page."""
        target = self.link(path, **query)
        return Response(headers={"HX-Redirect": target}) if self.partial else RedirectResponse(target, 303)

    def _frame(self, section: str) -> dict[str, Any]:
        viewer = viewer_of(self.caller)
        sections = [one for one in SECTIONS if viewer.sees_fleet or one[0] not in OF_THE_FLEET]
        return {"caller": viewer, "sections": sections, "section": section, **frame(self.request)}


def frame(request: Request) -> dict[str, Any]:
    """What every page needs, whoever asks."""
    link = linker(request.scope.get("root_path", ""))
    return {"link": link, "static": lambda name: link(f"/static/{name}", v=mark_of(name))}


def viewer_of(caller: Caller) -> Viewer:
    """The caller, for templates."""
    return Viewer(
        name=caller.name,
        role=caller.role,
        owner=caller.owner,
        named=caller is not ANYBODY,
        sees_fleet=caller.may(Right.READ_FLEET),
        changes=caller.may(Right.CHANGE_TASKS),
        orders=caller.may(Right.CHANGE_FLEET),
    )


def visited(page: Callable[[Visit], Response]) -> Callable[[Request], Response]:
    """The page as an endpoint: strangers are led to the login, and errors are shown as people read them."""

    def endpoint(request: Request) -> Response:
        try:
            visit = Visit(request, who(request))
        except Problem as problem:
            return _stranger(request, problem)
        try:
            return page(visit)
        except (Problem, HTTPException, TaskQueueError) as error:
            return _failed(visit, error)

    return endpoint


def _stranger(request: Request, problem: Problem) -> Response:
    link = linker(request.scope.get("root_path", ""))
    if problem.status != 401:
        context = {"caller": None, "sections": [], "section": "", **frame(request)}
        return HTMLResponse(
            render("error.html", title="That is refused", text=problem.detail, **context), problem.status
        )
    if "hx-request" in request.headers:
        return Response(status_code=401)
    return RedirectResponse(link("/login", next=request.url.path if request.method == "GET" else None), 303)


def _failed(visit: Visit, error: Exception) -> Response:
    problem = problems.as_problem(error)
    if visit.request.method == "POST":
        return visit.done(problem.detail, "/", status=problem.status)
    if isinstance(error, BrokerUnavailable) and visit.partial:
        return visit.plain("trouble.html", status=503, text=problem.detail)
    titles = {403: "That is not for your role", 404: "There is no such task", 503: "The store does not answer"}
    title = titles.get(problem.status, "That did not work")
    return visit.plain("error.html", status=problem.status, title=title, text=problem.detail)
