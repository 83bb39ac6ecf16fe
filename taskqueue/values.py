"""Values as they travel: JSON, and beside it what Python programs pass around.

Plain JSON (str, int, float, bool, None, list, dict with str keys) passes untouched. Other values are tagged, so that
they come back as they were whatever the reader knows: `{"$datetime": "2026-01-31T08:00:00+00:00"}`. A dict that
itself has a key beginning with "$" is wrapped: `{"$dict": {...}}`.

*Typed* values (enums, dataclasses, named tuples, msgspec and attrs structs) travel as the plain values that they are
made of, and come back where an annotation says what they were (`msgspec.convert`). Nothing is ever looked up by a name
found in a message (P8).
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import math
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn
from uuid import UUID

import msgspec

from taskqueue.plain import MAX_DEPTH, is_plain

MAX_BITS = 4096


class Unfit(Exception):
    """A value that cannot travel. `where` is its place below the value that was given: `.items[2]`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self._steps: list[str] = []

    def inside(self, step: str) -> Unfit:
        """The same, seen from the container that holds the value at `step`."""
        self._steps.append(step)
        return self

    @property
    def where(self) -> str:
        """Its place, "" for the value itself."""
        return "".join(reversed(self._steps))


def pack(value: Any, *, typed: bool = False, depth: int = 0) -> Any:
    """The JSON form of a value; raises Unfit. With `typed`, typed values are let through as what they are made of."""
    if not depth and is_plain(value):
        return value
    kind = type(value) if type(value) in _KINDS else _base_of(value)
    if kind in _LEAVES:
        return _LEAVES[kind](value)
    _check_depth(depth)
    inner = partial(pack, typed=typed, depth=depth + 1)
    if kind is list:
        return _each(value, inner)
    if kind is dict:
        return _pack_dict(value, inner)
    if kind in _COLLECTIONS:
        return {_COLLECTIONS[kind]: _each(value, inner)}
    if not typed:
        raise Unfit(f"a {kind.__qualname__} would come back as plain data; annotate the parameter with its type")
    return _pack_typed(value, inner)


def unpack(value: Any, *, depth: int = 0) -> Any:
    """The value of a JSON form; raises Unfit where it is not one of ours."""
    if type(value) not in (list, dict):
        return value
    _check_depth(depth)
    inner = partial(unpack, depth=depth + 1)
    if type(value) is list:
        return _each(value, inner)
    if len(value) == 1:
        ((tag, content),) = value.items()
        if tag.startswith("$"):
            return _untag(tag, content, inner)
    return _each_value(value, inner)


def unpack_each(values: dict[str, Any]) -> dict[str, Any]:
    """Each value of its JSON form, by name; raises Unfit, whose place begins with the name."""
    return _each_value(values, unpack)


def is_typed(value: Any) -> bool:
    """Whether only an annotation can bring this value back."""
    return (
        isinstance(value, (enum.Enum, msgspec.Struct))
        or (isinstance(value, tuple) and hasattr(value, "_fields"))
        or ((dataclasses.is_dataclass(value) or hasattr(value, "__attrs_attrs__")) and not isinstance(value, type))
    )


def _each(items: Iterable[Any], do: Callable[[Any], Any]) -> list[Any]:
    done: list[Any] = []
    try:
        for item in items:
            done.append(do(item))  # noqa: PERF401  # its length says where it went wrong
    except Unfit as unfit:
        raise unfit.inside(f"[{len(done)}]") from None
    return done


def _each_value(items: dict[str, Any], do: Callable[[Any], Any]) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for key, item in items.items():
        try:
            done[key] = do(item)
        except Unfit as unfit:
            raise unfit.inside(f".{key}") from None
    return done


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Unfit(f"it is nested more than {MAX_DEPTH} levels deep")


def _base_of(value: Any) -> type:
    """The kind as which a value of a subclass travels; its own type where only an annotation can bring it back."""
    if is_typed(value):
        return type(value)
    kind = next((kind for kind in _KINDS if isinstance(value, kind)), None)
    return kind if kind is not None else _refuse(value)


def _refuse(value: Any) -> NoReturn:
    raise Unfit(f"a {type(value).__qualname__} cannot be put into a message; pass an id or plain values instead")


def _pack_dict(value: dict[Any, Any], inner: Callable[[Any], Any]) -> dict[str, Any]:
    for key in value:
        if not isinstance(key, str) or is_typed(key):
            raise Unfit(f"it has the key {key!r}; keys must be strings")
    packed = {_pack_str(key): item for key, item in _each_value(value, inner).items()}
    return {"$dict": packed} if any(key.startswith("$") for key in packed) else packed


def _pack_typed(value: Any, inner: Callable[[Any], Any]) -> Any:
    if isinstance(value, tuple):
        return _each(value, inner)
    try:
        return inner(msgspec.to_builtins(value, builtin_types=_NATIVE, enc_hook=_refuse))
    except RecursionError:
        raise Unfit("it contains itself") from None


def _pack_str(value: str) -> str:
    text = str.__str__(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unfit("it has half a surrogate pair, which is no text; pass bytes instead") from None
    return text


def _pack_int(value: int) -> int:
    if value.bit_length() > MAX_BITS:
        raise Unfit(f"an integer of more than {MAX_BITS} bits cannot be put into a message")
    return int(value)


def _pack_float(value: float) -> float:
    if not math.isfinite(value):
        raise Unfit(f"{float(value)} has no form in JSON; pass None or a string")
    return float(value)


def _pack_datetime(value: datetime) -> dict[str, Any]:
    if value.utcoffset() is None:
        raise Unfit(f"the datetime {value.isoformat()} has no time zone; use an aware one, e.g. datetime.now(UTC)")
    return {"$datetime": value.isoformat()}


def _untag(tag: str, content: Any, inner: Callable[[Any], Any]) -> Any:
    if tag == "$dict" and type(content) is dict:
        return _each_value(content, inner)
    if tag in _COLLECTORS and type(content) is list:
        return _collect(_COLLECTORS[tag], _each(content, inner))
    if tag not in _READERS:
        raise Unfit(f"unknown kind of value {tag!r}; it may be written by a newer release")
    try:
        return _READERS[tag](content)
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        raise Unfit(f"{str(content)[:50]!r} is no {tag[1:]}") from None


def _collect(kind: type, items: list[Any]) -> Any:
    try:
        return kind(items)
    except TypeError:  # members that an annotation has yet to make hashable, e.g. frozen dataclasses
        return items


def _not_this(content: Any) -> Any:
    raise TypeError(content)  # a collection of another form than _untag has looked for


def _read_datetime(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError(text)
    return moment


_LEAVES: dict[type, Callable[[Any], Any]] = {
    bool: lambda value: value,
    type(None): lambda value: value,
    str: _pack_str,
    int: _pack_int,
    float: _pack_float,
    datetime: _pack_datetime,
    date: lambda value: {"$date": value.isoformat()},
    time: lambda value: {"$time": value.isoformat()},
    timedelta: lambda value: {"$timedelta": value // timedelta(microseconds=1)},
    UUID: lambda value: {"$uuid": str(value)},
    Decimal: lambda value: {"$decimal": str(value)},
    bytes: lambda value: {"$bytes": base64.b64encode(value).decode()},
}
_READERS: dict[str, Callable[[Any], Any]] = {
    "$dict": _not_this,
    "$tuple": _not_this,
    "$set": _not_this,
    "$frozenset": _not_this,
    "$datetime": _read_datetime,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$timedelta": lambda micros: timedelta(microseconds=micros),
    "$uuid": UUID,
    "$decimal": Decimal,
    "$bytes": lambda text: base64.b64decode(text, validate=True),
}
_COLLECTIONS: dict[type, str] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}
_COLLECTORS = {tag: kind for kind, tag in _COLLECTIONS.items()}
#: in the order in which a subclass finds its base: datetime comes before date, which it derives from
_KINDS: dict[type, None] = dict.fromkeys([*_LEAVES, list, dict, *_COLLECTIONS])
#: what msgspec is to leave as it is
_NATIVE = (bytes, datetime, date, time, timedelta, UUID, Decimal)
