"""The cookie by which a browser stays known after it has shown a token once.

It holds a name and an end, signed with a key that is made of that name's token: it is worth nothing for anything else,
it outlives a restart of the server, and ends when the token is changed. The token itself is not in it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from taskqueue.settings import TokenSettings

COOKIE = "taskqueue"
#: seconds for which a login lasts
LIFETIME = 12 * 3600


def start(request: Request, response: Response, token: TokenSettings, *, now: float) -> None:
    """Let the browser that gets this response be known from now on (`now`: seconds since 1970)."""
    response.set_cookie(
        COOKIE,
        issue(token, now=now),
        max_age=LIFETIME,
        path=_path(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def end(request: Request, response: Response) -> None:
    """Let the browser forget it."""
    response.delete_cookie(COOKIE, path=_path(request), httponly=True, samesite="strict")


def issue(token: TokenSettings, *, now: float) -> str:
    """A cookie's value for whoever has shown this token."""
    said = f"{base64.urlsafe_b64encode(token.name.encode()).decode()}.{int(now) + LIFETIME}"
    return f"{said}.{_signed(said, token)}"


def read(value: str, tokens: Mapping[str, TokenSettings], *, now: float) -> TokenSettings | None:
    """Whose cookie it is; None if it is none of ours, or has ended."""
    said, _, signature = value.rpartition(".")
    name, _, until = said.partition(".")
    try:
        token = tokens.get(base64.urlsafe_b64decode(name).decode())
        ended = int(until) <= now
    except (binascii.Error, ValueError):
        return None
    if token is None or ended or not hmac.compare_digest(signature.encode(), _signed(said, token).encode()):
        return None
    return token


def _signed(said: str, token: TokenSettings) -> str:
    key = hmac.digest(token.token.encode(), b"taskqueue session", hashlib.sha256)
    return hmac.digest(key, said.encode(), hashlib.sha256).hex()


def _path(request: Request) -> str:
    return request.scope.get("app_root_path", request.scope.get("root_path", "")) or "/"
