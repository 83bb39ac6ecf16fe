"""What is refused before anybody looks at it, and the headers that every answer has.

* A request that is meant for another host (DNS rebinding: a stranger's name that points at our address) is answered
  with 421. Ours are the address of `[web] bind`, any IP address, the names of the loopback, and `[web] allowed_hosts`.
* Without tokens only this machine may ask, whatever server this application is mounted in.
* A change that a browser sends for another site's page is answered with 403. Browsers say whose page it was
  (`Sec-Fetch-Site`, `Origin`). A request that shows a token needs no such word: no page can send one unasked.
"""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskqueue.settings import WebSettings
from taskqueue.settings.binding import is_loopback
from taskqueue.web import problems, sessions
from taskqueue.web.problems import Problem

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware that stands before everything else."""

    def __init__(self, app: ASGIApp, *, web: WebSettings) -> None:
        self._app = app
        self._web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(scope)
        except Problem as problem:
            await problems.answer(problem)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._refuse_other_hosts(headers.get("host", ""))
        if not self._web.tokens:
            _refuse_other_machines(scope)
        if scope["method"] not in SAFE and not headers.get("authorization", "").lower().startswith("bearer "):
            _refuse_other_sites(headers)

    def _refuse_other_hosts(self, given: str) -> None:
        host = host_of(given)
        if not self._answers_for(host):
            raise Problem(421, f"this server does not answer for {given[:200]!r}; if it should: [web] allowed_hosts")

    def _answers_for(self, host: str) -> bool:
        bind, allowed = self._web.bind, self._web.allowed_hosts
        if "*" in allowed or host in allowed or is_loopback(host):
            return True
        # An address names nobody else's site. Without tokens, who comes by another one came through something.
        return (bind is not None and host == bind.host) or (bool(self._web.tokens) and _is_address(host))


def host_of(given: str) -> str:
    """The name or address of a Host header, without its port and brackets."""
    if given.startswith("["):
        return given[1:].partition("]")[0].lower()
    return given.partition(":")[0].lower()


def _refuse_other_machines(scope: Scope) -> None:
    client = scope.get("client")
    # A unix socket has none.
    if client and client[0] and not is_loopback(client[0]):
        raise Problem(403, "without tokens only this machine may ask: add [web.tokens.NAME] with a token and a role")


def _refuse_other_sites(headers: Headers) -> None:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    elif origin is not None:
        # "null", and what is no URL, has no such part.
        foreign = origin.lower().partition("://")[2] != headers.get("host", "").lower()
    else:
        # No browser of these days leaves both out; with a session it must be one.
        foreign = f"{sessions.COOKIE}=" in headers.get("cookie", "")
    if foreign:
        raise Problem(403, "this change was sent by another site's page; send it from our own, or show a token")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
