"""A task's name and arguments as they are typed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
import msgspec

from taskqueue import codec
from taskqueue.errors import InvalidArguments

F = TypeVar("F", bound=Callable[..., Any])


def task_arguments(function: F) -> F:
    """Give a command NAME, ARGUMENT... and --json."""
    function = click.option(
        "--json", "text", metavar="OBJECT", help="More arguments, as a JSON object; - reads it from stdin."
    )(function)
    function = click.argument("pairs", metavar="[ARGUMENT=TEXT | ARGUMENT:=JSON]...", nargs=-1)(function)
    return click.argument("name")(function)


def parameters(pairs: Sequence[str], text: str | None) -> dict[str, Any]:
    """All that was typed, by name, not converted yet. Raises InvalidArguments."""
    return _object(text) | codec.from_json_arguments(None, pairs)


def _object(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        found = msgspec.json.decode(sys.stdin.read() if text == "-" else text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidArguments(f"--json: {text[:50]!r} is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise InvalidArguments(f'--json: {text[:50]!r} is no object; write e.g. {{"to": "ann"}}')
    return found
