"""Values that are their own JSON form, as most are: told faster than a form is made (`taskqueue.values`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

MAX_DEPTH = 100
#: what every reader of JSON takes for a whole number, and what our own encoder does
_MAX_PLAIN = 2**63 - 1


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether this value, `depth` levels deep in another one, is its own JSON form. False says nothing."""
    kind = type(value)
    if kind in _PLAIN:
        return _PLAIN[kind](value)
    if kind is dict:
        return _has_plain_keys(value) and _are_plain(value.values(), depth)
    return kind is list and _are_plain(value, depth)


def _has_plain_keys(value: dict[Any, Any]) -> bool:
    for key in value:  # noqa: SIM110  # all() would make a generator
        if type(key) is not str or not key.isascii() or key[:1] == "$":
            return False
    return True


def _are_plain(items: Iterable[Any], depth: int) -> bool:
    if depth > MAX_DEPTH:
        return False
    for item in items:  # noqa: SIM110  # likewise
        if not is_plain(item, depth + 1):
            return False
    return True


#: of these the value itself may be its JSON form; whether it is
_PLAIN: dict[type, Callable[[Any], bool]] = {
    bool: lambda _value: True,
    type(None): lambda _value: True,
    str: str.isascii,
    int: lambda value: -_MAX_PLAIN <= value <= _MAX_PLAIN,
    float: math.isfinite,
}
