"""Errors as RFC 9457 problem details, and which status code each of our exceptions is."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from taskqueue.errors import BrokerUnavailable, InvalidSearch, TaskQueueError, UnknownEntry


class Problem(Exception):
    """Ends a request with this status; `detail` says what is wrong and what to do."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


class Details(msgspec.Struct, frozen=True):
    """A problem as it is sent (RFC 9457)."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


#: the first that fits counts
STATUS: dict[type[TaskQueueError], int] = {
    UnknownEntry: 404,
    InvalidSearch: 422,
    BrokerUnavailable: 503,
}


def answer(_request: Request, error: Exception) -> Response:
    """The problem that an exception is."""
    problem = as_problem(error)
    details = Details(HTTPStatus(problem.status).phrase, problem.status, problem.detail)
    return Response(
        msgspec.json.encode(details),
        problem.status,
        headers=dict(problem.headers or {}),
        media_type="application/problem+json",
    )


def as_problem(error: Exception) -> Problem:
    """The problem that an exception is."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return Problem(error.status_code, error.detail, headers=error.headers)
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    return Problem(status, str(error), headers={"Retry-After": "2"} if status == 503 else None)
