"""Arguments that a person typed, for the command line: `name=text` and `name:=json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from taskqueue.errors import InvalidArguments
from taskqueue.registry import Definition


def from_json_arguments(definition: Definition | None, pairs: Iterable[str]) -> dict[str, Any]:
    """Parameters from `name=text` and `name:=json`, converted by the task's annotations where they are known.

    Raises InvalidArguments.
    """
    return convert_arguments(definition, dict(map(_parse_pair, pairs)))


def convert_arguments(definition: Definition | None, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters given as strings and JSON values, as the task's annotations mean them; raises InvalidArguments."""
    return definition.from_text(parameters) if definition else dict(parameters)


def _parse_pair(pair: str) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    if not equals or not name.rstrip(":"):
        raise InvalidArguments(f"argument {pair!r} is neither name=value nor name:=json")
    if not name.endswith(":"):
        return name, text
    try:
        return name[:-1], msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InvalidArguments(f"argument {name[:-1]!r}: {text[:50]!r} is no JSON ({error})") from None
