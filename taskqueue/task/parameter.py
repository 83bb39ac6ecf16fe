"""One parameter of a task: what its annotation lets through, on the way out and on the way in."""

from __future__ import annotations

import inspect
import types
from typing import Any, Union, get_args, get_origin

import msgspec

from taskqueue import values
from taskqueue.errors import EncodingError, InvalidArguments
from taskqueue.task.fidelity import difference

_SCALARS: frozenset[type] = frozenset({str, int, bool, types.NoneType})


class Parameter:
    """A parameter `name` of the task `task`. An annotation that msgspec does not understand counts as none."""

    def __init__(self, task: str, name: str, annotation: Any, *, secret: bool = False) -> None:
        self.task = task
        self.name = name
        self.annotation = annotation if _understood(annotation) else Any
        self._secret = secret
        #: types of which every value is right as it is
        self.plain_out, self.plain_in = _plain_types(self.annotation)

    def pack(self, value: Any) -> Any:
        """The wire form of an argument, once it is sure that the worker will get the same."""
        if type(value) in self.plain_out:
            return value
        known = self.annotation is not Any
        try:
            wire = values.pack(value, typed=known)
            back = self.unpack(values.unpack(wire)) if known else value
        except values.Unfit as unfit:
            raise EncodingError(f"{self._where(unfit.where)}: {unfit.reason}") from None
        if known and (found := difference(value, back)) is not None:
            raise self._misfit(*found)
        return wire

    def unpack(self, value: Any) -> Any:
        """The argument, from its unpacked wire form; raises InvalidArguments."""
        if type(value) in self.plain_in or self.annotation is Any:
            return value
        return self._convert(value, strict=True)

    def from_text(self, value: Any) -> Any:
        """The argument that a person typed: a string, or a JSON value."""
        return value if self.annotation is Any else self._convert(value, strict=False)

    def _convert(self, value: Any, *, strict: bool) -> Any:
        try:
            return msgspec.convert(value, self.annotation, strict=strict)
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at `$")
            raise InvalidArguments(f"{self._where(place.rstrip('`'))}: {self._said(reason)}") from None
        except Exception as error:  # the annotation's own code runs here (__post_init__, _missing_, ...)
            reason = f"{type(error).__name__}: {error}"
            raise InvalidArguments(f"{self._where('')}: {self._said(reason)}") from error

    def _misfit(self, place: str, given: Any, back: Any) -> Exception:
        kind = type(given).__qualname__
        if values.is_typed(given):
            return EncodingError(
                f"{self._where(place)}: a {kind} would not come back as one; annotate the parameter with its type"
            )
        return InvalidArguments(f"{self._where(place)}: expected {type(back).__qualname__}, got {kind}")

    def _where(self, place: str) -> str:
        return f"{self.task}: parameter '{self.name}{place}'"

    def _said(self, reason: str) -> str:
        if self._secret:
            return "the value does not fit its annotation (it is secret, so it is not shown)"
        return reason[:1].lower() + reason[1:]


def _understood(annotation: Any) -> bool:
    if annotation is inspect.Parameter.empty or annotation in (Any, object) or isinstance(annotation, str):
        return False
    try:
        msgspec.convert(None, annotation)
    except msgspec.ValidationError:
        return True
    except Exception:  # noqa: BLE001  # whatever a foreign type does when msgspec looks at it
        return False
    return True


def _plain_types(annotation: Any) -> tuple[frozenset[type], frozenset[type]]:
    if annotation is Any:
        return _SCALARS, _SCALARS
    union = get_origin(annotation) in (Union, types.UnionType)
    choices = get_args(annotation) if union else (annotation,)
    plain = frozenset(kind for kind in _SCALARS if kind in choices)
    # A float must be looked at on the way out (NaN has no form in JSON); an int is welcome in its place.
    return (plain | {int}, plain | {int, float}) if float in choices else (plain, plain)
