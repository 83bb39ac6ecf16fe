"""From a request to the values that an endpoint takes; whatever does not fit is a problem that says which and why."""

from __future__ import annotations

import re
from typing import Any, TypeVar, get_origin, get_type_hints

import msgspec
from starlette.requests import ClientDisconnect, Request

from taskqueue.errors import did_you_mean
from taskqueue.web.problems import Problem

T = TypeVar("T", bound=msgspec.Struct)
#: bytes of a body
LARGEST = 1024 * 1024
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def query_of(request: Request, kind: type[T]) -> T:
    """The query string as that struct; what is empty is not said. Raises Problem 422."""
    hints = get_type_hints(kind)
    raw: dict[str, Any] = {}
    for name in dict.fromkeys(request.query_params.keys()):
        given = [value for value in request.query_params.getlist(name) if value]
        if get_origin(hints.get(name)) is list:
            raw[name] = given
        elif len(given) > 1:
            raise Problem(422, f"query {name[:100]}: given {len(given)} times; it takes one value")
        elif given:
            raw[name] = given[0]
    return fitting(raw, kind, place="query", strict=False)


async def body_of(request: Request, kind: type[T]) -> T:
    """The JSON body as that struct; no body is an empty one. Raises Problem 400, 413, 415, 422."""
    body = await bytes_of(request)
    if not body:
        return fitting({}, kind, place="body")
    sort = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sort != "application/json":
        raise Problem(415, f"a body of the type {sort[:100]!r}: send JSON, and Content-Type: application/json")
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"the body is no JSON: {error}") from None
    return fitting(raw, kind, place="body")


async def bytes_of(request: Request, *, most: int = LARGEST) -> bytes:
    """The body. Raises Problem 413 as soon as it is longer than `most`, 400 if it breaks off."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise Problem(413, f"the body has more than {most:,} bytes; send less at once")
    except ClientDisconnect:
        raise Problem(400, "the body broke off") from None
    return bytes(body)


def fitting(raw: Any, kind: type[T], *, place: str, strict: bool = True) -> T:
    """`raw` as that struct. Raises Problem 422, which names the part that does not fit."""
    try:
        return msgspec.convert(raw, kind, strict=strict)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Problem(422, _in_words(str(error), kind, place)) from None


def _in_words(text: str, kind: type[msgspec.Struct], place: str) -> str:
    """`query limit: expected `int` <= 1000` of msgspec's "Expected `int` <= 1000 - at `$.limit`"."""
    said, _, where = text.partition(" - at `$")
    where = where.removesuffix("`").removeprefix(".")
    if (found := _UNKNOWN.fullmatch(said)) is not None:
        known = [field.encode_name for field in msgspec.structs.fields(kind)] if not where else []
        hint = did_you_mean(found[1][:100], known) or (f"; known: {', '.join(known) or 'none'}" if not where else "")
        said = f"nothing here is called {found[1][:100]!r}{hint}"
    return f"{place}{' ' if where else ''}{where}: {said[:1].lower()}{said[1:]}"
