"""Who asks, and what they may do.

A program shows its token (`Authorization: Bearer`), a browser the cookie that a login gave it (`sessions`). Where no
tokens are configured, whoever reaches the server is an operator; `guard` sees to it that this is this machine alone.
"""

from __future__ import annotations

import enum
import hmac
from collections.abc import Mapping

import msgspec
from starlette.requests import Request

from taskqueue.settings import TokenSettings
from taskqueue.web import sessions
from taskqueue.web.problems import Problem

Tokens = Mapping[str, TokenSettings]


class Right(enum.Enum):
    """What a route needs."""

    READ_TASKS = "read tasks"
    CHANGE_TASKS = "change tasks"
    READ_FLEET = "read queues and workers"
    CHANGE_FLEET = "change queues and workers"


RIGHTS: dict[str, frozenset[Right]] = {
    "user": frozenset({Right.READ_TASKS, Right.CHANGE_TASKS}),
    "reader": frozenset({Right.READ_TASKS, Right.READ_FLEET}),
    "operator": frozenset(Right),
}


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. `owner` is set for a user: what is another's is not there for them."""

    name: str
    role: str
    owner: str | None = None

    def may(self, right: Right) -> bool:
        """Whether their role has that right."""
        return right in RIGHTS[self.role]

    def must(self, right: Right) -> None:
        """Raise Problem 403 unless their role has that right."""
        if not self.may(right):
            able = " or ".join(role for role, rights in RIGHTS.items() if right in rights)
            raise Problem(403, f"{self.name} is a {self.role} and may not {right.value}; it takes the role {able}")


#: where no tokens are configured, whoever reaches the server is this one
ANYBODY = Caller(name="local", role="operator")


def who(request: Request, tokens: Tokens, *, now: float) -> Caller:
    """The caller; `now` is in seconds since 1970. Raises Problem 401 where no token, or a wrong one, is shown."""
    if not tokens:
        return ANYBODY
    if (shown := bearer(request)) is not None:
        found = known(tokens, shown)
    else:
        found = sessions.read(request.cookies.get(sessions.COOKIE, ""), tokens, now=now)
    if found is None:
        said = "this token is not known here" if shown else "no token is shown"
        raise Problem(401, f"{said}: send Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"})
    return caller_of(found)


def bearer(request: Request) -> str | None:
    """The token that the request shows; None if it shows none."""
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else None


def known(tokens: Tokens, shown: str) -> TokenSettings | None:
    """Whose token it is. Each is compared, in constant time, so that the time says nothing of any."""
    given = shown.encode("utf-8", "surrogateescape")
    matches = [token for token in tokens.values() if hmac.compare_digest(token.token.encode(), given)]
    return matches[0] if matches else None


def caller_of(token: TokenSettings) -> Caller:
    """Who shows this token."""
    return Caller(name=token.name, role=token.role, owner=token.owner if token.role == "user" else None)
