"""One visit of a page: who asks, what they may see, and how the page is answered."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from taskqueue.app import App
from taskqueue.errors import BrokerUnavailable
from taskqueue.tasklog.reading import TaskLog
from taskqueue.web.desk import Desk
from taskqueue.web.pages.board import Board
from taskqueue.web.pages.rendering import linker, mark_of, render
from taskqueue.web.tokens import ANYBODY, Caller, Right

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
    """A request, with what its page needs. `form` are the fields of a change; of a field that is repeated, the last."""

    def __init__(self, request: Request, desk: Desk, board: Board, fields: list[tuple[str, str]]) -> None:
        self.request = request
        self.desk = desk
        self.board = board
        self.fields = fields
        self.form = dict(fields)
        self.link = linker(request.scope.get("root_path", ""))

    @property
    def app(self) -> App:
        """The application that is shown."""
        return self.desk.app

    @property
    def caller(self) -> Caller:
        """Who asks."""
        return self.desk.caller

    @cached_property
    def task_log(self) -> TaskLog:
        """What this caller may see of the task log."""
        return self.desk.log

    @property
    def partial(self) -> bool:
        """Only the part of the page that changes is asked for, by htmx."""
        return "hx-request" in self.request.headers

    @property
    def from_form(self) -> bool:
        """A search was typed, rather than the page being looked at again."""
        return self.request.headers.get("hx-source", "").startswith("form#search")

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def show(self, name: str, *, section: str = "", status: int = 200, live: str = "", **context: Any) -> Response:
        """That page, or its part that changes. `live` says how the browser keeps it up to date (dashboard.js)."""
        given = {"trouble": None, "live": live, **frame(self.request, self.caller, section), **context}
        return HTMLResponse(render(name, block="page" if self.partial else None, **given), status)

    def away(self, name: str, section: str, error: BrokerUnavailable, **context: Any) -> Response:
        """That page while the store is away: it says so, and looks again by itself. A part of it stays as it was."""
        if self.partial:
            return self.plain("trouble.html", status=503, text=f"{error}")
        return self.show(name, section=section, status=503, live="poll", trouble=f"{error}", **context)

    def plain(self, name: str, *, status: int = 200, **context: Any) -> Response:
        """A template that has no part that changes: all of it."""
        return HTMLResponse(render(name, **frame(self.request, self.caller, ""), **context), status)

    def done(self, text: str, back: str, *, status: int = 200, **query: Any) -> Response:
        """A change was made, or refused: say so, and go back where the visitor was."""
        if self.partial:
            said = json.dumps({"said": {"text": text}})
            return Response(status_code=204 if status == 200 else status, headers={"HX-Trigger": said})
        if status != 200:
            return self.plain("error.html", status=status, title="That did not work", text=text)
        return RedirectResponse(self.link(back, **query), 303)

    def go(self, path: str, **query: Any) -> Response:
        """To another page."""
        target = self.link(path, **query)
        return Response(headers={"HX-Redirect": target}) if self.partial else RedirectResponse(target, 303)


def frame(request: Request, caller: Caller | None, section: str) -> dict[str, Any]:
    """What every page needs, whoever asks."""
    link = linker(request.scope.get("root_path", ""))
    viewer = viewer_of(caller) if caller else None
    sections = [one for one in SECTIONS if viewer and (viewer.sees_fleet or one[0] not in OF_THE_FLEET)]
    return {
        "link": link,
        "static": lambda name: link(f"/static/{name}", v=mark_of(name)),
        "caller": viewer,
        "sections": sections,
        "section": section,
    }


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
