"""From what an endpoint returns to a response: JSON, its ETag, and 304 where whoever asks has it already."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

_encoder = msgspec.json.Encoder(enc_hook=str)


def encoded(value: Any) -> bytes:
    """A value as JSON. Reports hold what tasks put there: what JSON does not know is text."""
    return _encoder.encode(value)


def tag_of(value: Any) -> str:
    """The ETag of a value: whatever of it changes, changes it."""
    return _tag(encoded(value))


def known_to(request: Request) -> frozenset[str]:
    """The ETags that whoever asks has already (If-None-Match)."""
    given = request.headers.get("if-none-match", "")
    return frozenset(tag.strip().removeprefix("W/") for tag in given.split(",") if tag.strip())


def answer(request: Request, value: Any, *, status: int, headers: dict[str, str]) -> Response:
    """The response that carries this value."""
    body = encoded(value)
    if request.method not in ("GET", "HEAD"):
        return Response(body, status, headers, "application/json")
    headers = {**headers, "ETag": _tag(body), "Vary": "Authorization, Cookie"}
    known = known_to(request)
    if headers["ETag"] in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, status, headers, "application/json")


def _tag(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
