"""Who asks, and what they may do."""

from __future__ import annotations

import enum
import hmac

import msgspec
from starlette.requests import Request

from taskqueue.settings import TokenSettings
from taskqueue.web.problems import Problem


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
    """Who asks. `owner` is set for a user: everything else is not there for them."""

    name: str
    role: str
    owner: str | None = None

    def may(self, right: Right) -> bool:
        """Whether their role has that right."""
        return right in RIGHTS[self.role]


#: where no tokens are configured, whoever reaches the server is this one
ANYBODY = Caller(name="local", role="operator")


def who(request: Request) -> Caller:
    """The caller. Raises Problem 401 where a token is needed and none, or a wrong one, is shown."""
    tokens: dict[str, TokenSettings] = request.app.state.taskqueue.settings.web.tokens
    if not tokens:
        return ANYBODY
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and (found := _known(tokens, shown.strip())) is not None:
        return found
    raise Problem(401, "show a token: Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"})


def _known(tokens: dict[str, TokenSettings], shown: str) -> Caller | None:
    """Whose token it is. Each is compared, in constant time, so that the time says nothing of any."""
    given = shown.encode()
    matches = [token for token in tokens.values() if hmac.compare_digest(token.token.encode(), given)]
    return caller_of(matches[0]) if matches else None


def caller_of(token: TokenSettings) -> Caller:
    """Who shows this token."""
    return Caller(name=token.name, role=token.role, owner=token.owner if token.role == "user" else None)
