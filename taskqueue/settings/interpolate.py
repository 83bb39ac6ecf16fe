"""`${NAME}`, `${NAME:-default}`, `${file:/path}` and `$$` in the strings of a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

LARGEST_FILE = 65_536
_NAMED = re.compile(
    r"\$(?:(?P<dollar>\$)|\{file:(?P<file>[^}]+)\}|\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}|)"
)


class Interpolated(str):
    """A text of which a part came from outside. It may be a secret: messages show `source`, never the value (P19)."""

    __slots__ = ("source",)
    source: str

    @classmethod
    def of(cls, value: str, source: str) -> Self:
        """`value`, which came from `source`, such as "${DATABASE_URL}"."""
        text = cls(value)
        text.source = source
        return text


def interpolate(template: str, environ: Mapping[str, str]) -> str:
    """The text with its variables put in; ValueError says which one is missing."""
    if "$" not in template:
        return template
    sources: list[str] = []
    value = _NAMED.sub(lambda found: _value(found, environ, sources), template)
    return Interpolated.of(value, ", ".join(sources)) if sources else value


def _value(found: re.Match[str], environ: Mapping[str, str], sources: list[str]) -> str:
    if found["dollar"]:
        return "$"
    if found["file"]:
        sources.append(f"${{file:{found['file']}}}")
        return _read(found["file"])
    if not found["name"]:
        raise ValueError("a '$' that names nothing: write ${NAME} for a variable, $$ for a dollar")
    sources.append(f"${{{found['name']}}}")
    value = environ.get(found["name"])
    # As in a shell, ":-" stands in for an empty variable too.
    value = value if value or found["default"] is None else found["default"]
    if value is None:
        raise ValueError(f"{sources[-1]} is not set: set it, or write ${{{found['name']}:-default}}")
    return value


def _read(path: str) -> str:
    if not Path(path).is_absolute():
        raise ValueError(f"${{file:{path}}}: expected an absolute path")
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        text = content.decode()
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is not UTF-8 text"
        raise ValueError(f"${{file:{path}}} cannot be read: {reason}") from None
    if len(content) > LARGEST_FILE:
        raise ValueError(f"${{file:{path}}} is larger than {LARGEST_FILE // 1024} KiB")
    return text.removesuffix("\n").removesuffix("\r")
