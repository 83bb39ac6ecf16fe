"""Errors as RFC 9457 problem details, and which status code each of our exceptions is.

A problem's `detail` says what is wrong and what to do, as the commands do; it never holds a secret (P19).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from taskqueue.errors import (
    BrokerUnavailable,
    ConfigurationError,
    EncodingError,
    InvalidArguments,
    InvalidSearch,
    InvalidTransition,
    MessageTooLarge,
    NotEnqueueable,
    QueueFull,
    SchemaMismatch,
    TaskQueueError,
    UnknownEntry,
    UnknownHost,
    UnknownOrder,
    UnknownQueue,
    UnknownTask,
)

MEDIA_TYPE = "application/problem+json"
#: seconds after which a store that is away may be asked again
RETRY_AFTER = 2
#: our exceptions; the first that fits counts
STATUS: dict[type[TaskQueueError], int] = {
    UnknownEntry: 404,
    UnknownQueue: 404,
    UnknownHost: 404,
    UnknownOrder: 404,
    UnknownTask: 422,
    InvalidArguments: 422,
    InvalidSearch: 422,
    NotEnqueueable: 422,
    MessageTooLarge: 413,
    EncodingError: 422,
    InvalidTransition: 409,
    QueueFull: 429,
    BrokerUnavailable: 503,
    SchemaMismatch: 503,
    ConfigurationError: 409,
}


class Problem(Exception):
    """Ends a request with this status; `detail` says what is wrong and what to do."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


class Details(msgspec.Struct, frozen=True, rename={"kind": "type"}):
    """A problem as it is sent (RFC 9457): `title` names the status, `detail` says what is wrong and what to do."""

    title: str
    status: int
    detail: str
    kind: str = "about:blank"


async def handle(_request: Request, error: Exception) -> Response:
    """What an exception looks like to whoever asked. Asynchronous, or each would take a thread."""
    return answer(error)


def answer(error: Exception) -> Response:
    """The response that an exception is."""
    problem = as_problem(error)
    details = Details(HTTPStatus(problem.status).phrase, problem.status, problem.detail)
    return Response(msgspec.json.encode(details), problem.status, headers=dict(problem.headers), media_type=MEDIA_TYPE)


def as_problem(error: Exception) -> Problem:
    """The problem that an exception is."""
    match error:
        case Problem():
            return error
        case HTTPException():
            return Problem(error.status_code, _detail(error), headers=error.headers)
        case TaskQueueError():
            return _ours(error)
    # Its text may be a statement with its parameters: the log has it, and not whoever asks (P19).
    kind = type(error).__name__
    return Problem(500, f"unexpected {kind}; this is a bug: the server's log shows where it happened")


def _ours(error: TaskQueueError) -> Problem:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    headers = {"Retry-After": str(RETRY_AFTER)} if status in (429, 503) else None
    return Problem(status, str(error), headers=headers)


def _detail(error: HTTPException) -> str:
    if error.status_code == 404:
        return "there is nothing at this path; /api/v1/openapi.json lists what there is"
    return error.detail
