"""A task's signature: arguments by name on the wire, checked on both sides. Read once a task, at its first use."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from taskqueue.errors import InvalidArguments, did_you_mean
from taskqueue.task.parameter import Parameter

Bound = tuple[dict[str, Any], tuple[Any, ...]]
_KINDS = inspect.Parameter
_EMPTY: tuple[Any, ...] = ()


class Signature:
    """The parameters of `function`, for a task called `task`.

    Arguments stand in `named` (by name) and `extra` (what can only be given by position: positional-only parameters,
    then those of `*args`). Defaults are not filled in: the worker's own apply.
    """

    def __init__(self, task: str, function: Callable[..., Any], *, secret: Sequence[str] = ()) -> None:
        self.task = task
        found = list(inspect.signature(function).parameters.values())
        hints = _hints(function, found)
        self.text = str(inspect.Signature(found))
        made = {p.name: Parameter(task, p.name, _hint(p, hints), secret=p.name in secret) for p in found}
        self.named = {
            p.name: made[p.name] for p in found if p.kind in (_KINDS.POSITIONAL_OR_KEYWORD, _KINDS.KEYWORD_ONLY)
        }
        self._known = frozenset(self.named)
        self._by_position = tuple(p.name for p in found if p.kind is _KINDS.POSITIONAL_OR_KEYWORD)
        self._required = frozenset(p.name for p in found if p.name in self.named and p.default is _KINDS.empty)
        self._leading = tuple(made[p.name] for p in found if p.kind is _KINDS.POSITIONAL_ONLY)
        self._leading_required = sum(p.kind is _KINDS.POSITIONAL_ONLY and p.default is _KINDS.empty for p in found)
        self._rest = next((made[p.name] for p in found if p.kind is _KINDS.VAR_POSITIONAL), None)
        self._others = next((made[p.name] for p in found if p.kind is _KINDS.VAR_KEYWORD), None)
        self._simple = not self._leading and self._rest is None
        self._returns = Parameter(task, "return", hints.get("return", Any))

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        """Arguments by name, as a call would take them; InvalidArguments where it would not."""
        extra = args[: len(self._leading)]
        args = args[len(self._leading) :]
        named = dict(zip(self._by_position, args, strict=False))
        if kwargs:
            if twice := named.keys() & kwargs.keys():
                raise self._error(f"got {_list(twice)} twice, by position and by name")
            named.update(kwargs)
        if len(args) > len(self._by_position):
            extra += args[len(self._by_position) :]
        self.check(named, extra)
        return named, extra

    def check(self, named: Mapping[str, Any], extra: Sequence[Any]) -> None:
        """Raise InvalidArguments unless exactly the parameters that are needed are there."""
        if not self._required.issubset(named):
            raise self._error(f"needs {_list(self._required - named.keys())}")
        if self._others is None and not self._known.issuperset(named):
            unknown = next(name for name in named if name not in self.named)
            raise self._error(f"has no parameter {unknown!r}{did_you_mean(unknown, self.named)}")
        if extra or self._leading_required:
            self._check_extra(named, extra)

    def _check_extra(self, named: Mapping[str, Any], extra: Sequence[Any]) -> None:
        if len(extra) < self._leading_required:
            missing = [p.name for p in self._leading[len(extra) : self._leading_required]]
            raise self._error(f"needs {_list(missing)}, by position")
        if len(extra) <= len(self._leading):
            return
        most = len(self._leading) + len(self._by_position)
        if self._rest is None:
            given = len(extra) + len(self._by_position)
            raise self._error(
                f"takes at most {most} argument{'' if most == 1 else 's'} by position, {given} were given"
            )
        if not named.keys() >= set(self._by_position):
            raise self._error(f"needs {_list(set(self._by_position) - named.keys())} before its further arguments")

    def pack(self, named: dict[str, Any], extra: Sequence[Any]) -> tuple[dict[str, Any], list[Any]]:
        """The wire form of arguments; raises InvalidArguments or EncodingError, naming the parameter."""
        self.check(named, extra)
        parameters, packed = self.named, named
        for name, value in named.items():
            parameter = parameters.get(name) or self._other(name)
            if type(value) not in parameter.plain_out:
                packed = packed if packed is not named else dict(named)
                packed[name] = parameter.pack(value)
        return packed, [p.pack(value) for p, value in zip(self._positions(extra), extra, strict=True)] if extra else []

    def unpack(self, named: dict[str, Any], extra: Sequence[Any]) -> Bound:
        """The arguments of a message, from its unpacked values; raises InvalidArguments."""
        self.check(named, extra)
        parameters = self.named
        for name, value in named.items():
            parameter = parameters.get(name) or self._other(name)
            if type(value) not in parameter.plain_in:
                named[name] = parameter.unpack(value)
        if not extra:
            return named, _EMPTY
        return named, tuple(p.unpack(value) for p, value in zip(self._positions(extra), extra, strict=True))

    def from_text(self, named: Mapping[str, Any]) -> dict[str, Any]:
        """Named arguments that a person typed; raises InvalidArguments."""
        self.check({**dict.fromkeys(self._required), **named}, [None] * self._leading_required)
        return {name: (self.named.get(name) or self._other(name)).from_text(value) for name, value in named.items()}

    def revive(self, result: Any) -> Any:
        """A result as its annotation means it; unchanged where it says nothing or something else."""
        try:
            return self._returns.unpack(result)
        except InvalidArguments:
            return result

    def call(self, function: Callable[..., Any], named: dict[str, Any], extra: Sequence[Any]) -> Any:
        """Call `function` with these arguments."""
        if self._simple or len(extra) <= len(self._leading):
            return function(*extra, **named)
        rest = {name: value for name, value in named.items() if name not in self._by_position}
        middle = [named[name] for name in self._by_position]
        return function(*extra[: len(self._leading)], *middle, *extra[len(self._leading) :], **rest)

    def takes(self, name: str) -> bool:
        """Whether an argument of that name would be accepted."""
        return name in self.named or self._others is not None or any(name == p.name for p in self._leading)

    def _other(self, name: str) -> Parameter:
        assert self._others is not None  # check() has refused unknown names
        return Parameter(self.task, name, self._others.annotation)

    def _positions(self, extra: Sequence[Any]) -> list[Parameter]:
        further = len(extra) - len(self._leading)
        rest = [self._rest] * further if self._rest is not None else []
        return [*self._leading[: len(extra)], *rest]

    def _error(self, said: str) -> InvalidArguments:
        return InvalidArguments(f"{self.task} {said}")


def _hint(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    hint = hints.get(parameter.name, Any)
    # `x: int = None` is still common, and means that None is welcome.
    return hint | None if parameter.default is None and hint is not Any else hint


def _list(names: typing.Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))


def _hints(function: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> dict[str, Any]:
    function = inspect.unwrap(function)
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001  # an annotation that only type checkers can read must not hide the others
        hints = _readable_hints(function)
    packed = {p.name for p in parameters if p.kind is _KINDS.VAR_KEYWORD}
    return {n: h for n, h in hints.items() if n not in packed or typing.get_origin(h) is not typing.Unpack}


def _readable_hints(function: Callable[..., Any]) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = type("Alone", (), {"__annotations__": {name: annotation}})
        try:
            found = typing.get_type_hints(alone, getattr(function, "__globals__", {}), include_extras=True)
        except Exception:  # noqa: BLE001  # as above
            found = {}
        hints.update(found)
    return hints
