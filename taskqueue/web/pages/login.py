"""Logging in: a token is shown once, and a cookie (`sessions`) remembers whose it was."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from taskqueue.web import sessions
from taskqueue.web.hub import Hub
from taskqueue.web.pages.rendering import linker, render
from taskqueue.web.pages.visit import frame
from taskqueue.web.pages.visiting import Endpoint, fields_of
from taskqueue.web.tokens import known


def login(hub: Hub) -> Endpoint:
    """The page that asks for a token, and takes it."""

    async def endpoint(request: Request) -> Response:
        form = dict(await fields_of(request))
        wanted = _ours(form.get("next") or request.query_params.get("next", ""))
        link = linker(request.scope.get("root_path", ""))
        if not hub.settings.tokens:
            return RedirectResponse(link(wanted), 303)
        if request.method != "POST":
            return _form(request, wanted)
        token = known(hub.settings.tokens, form.get("token", "").strip())
        if token is None:
            return _form(request, wanted, wrong="This token is not known here.")
        answer = RedirectResponse(link(wanted), 303)
        sessions.start(request, answer, token, now=hub.app.clock.micros() / 1e6)
        return answer

    return endpoint


async def logout(request: Request) -> Response:
    """The browser forgets who it was."""
    answer = RedirectResponse(linker(request.scope.get("root_path", ""))("/login"), 303)
    sessions.end(request, answer)
    return answer


def _form(request: Request, wanted: str, wrong: str = "") -> Response:
    page = render("login.html", **frame(request, None, ""), next=wanted, wrong=wrong)
    return HTMLResponse(page, 401 if wrong else 200)


def _ours(path: str) -> str:
    """A path of this very server, whatever was asked for: nobody is led elsewhere."""
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if plain and path.isprintable() else "/"
