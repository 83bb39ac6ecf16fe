"""Whether a value comes back as it went: what an annotation makes of its wire form, beside what was given."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import msgspec

from taskqueue.values import is_typed

#: kinds that Python programs do not tell apart where an annotation names an abstract one
_FAMILIES: tuple[tuple[type, ...], ...] = ((list, tuple), (set, frozenset))


def difference(given: Any, back: Any) -> tuple[str, Any, Any] | None:
    """Where `back` has another type than `given`: the place (`.items[2]`) and both values there; None if nowhere.

    Forgiven are list for tuple, set for frozenset, an int where a float is meant, and subclasses of plain types.
    """
    if not _alike(given, back):
        return "", given, back
    for step, one, other in _members(given, back):
        if (found := difference(one, other)) is not None:
            return step + found[0], found[1], found[2]
    return None


def _alike(given: Any, back: Any) -> bool:
    if type(given) is type(back):
        return True
    if is_typed(given) or is_typed(back) or isinstance(given, bool):
        return False
    if isinstance(back, float):
        return isinstance(given, (int, float))
    return isinstance(given, next((family for family in _FAMILIES if isinstance(back, family)), type(back)))


def _members(given: Any, back: Any) -> Iterable[tuple[str, Any, Any]]:
    if isinstance(given, dict):
        return [(f".{key}", item, back.get(key)) for key, item in given.items()]
    if isinstance(given, (list, tuple)):
        return [(f"[{n}]", one, other) for n, (one, other) in enumerate(zip(given, back, strict=False))]
    if isinstance(given, (set, frozenset)):
        known = {member: member for member in back}
        return [("", item, known.get(item)) for item in given]
    return [(f".{name}", getattr(given, name), getattr(back, name)) for name in _field_names(given)]


def _field_names(value: Any) -> Iterable[str]:
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return [field.name for field in getattr(value, "__attrs_attrs__", ())]
