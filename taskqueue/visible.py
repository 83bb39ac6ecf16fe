"""Texts of strangers, safe to show and to store: what would move a cursor or forge a line is written out."""

from __future__ import annotations

import re

_ODD = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
_IN_A_LINE = re.compile(rf"[\t\n{_ODD}]")
_IN_LINES = re.compile(rf"[{_ODD}]")


def visible(text: str) -> str:
    r"""`text` on one line: control characters, terminal escapes and marks of direction as `\n`, `\x1b`, `\u202e`."""
    return _IN_A_LINE.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """The same, but for line breaks and tabs, which stay."""
    return _IN_LINES.sub(_escaped, text.replace("\r\n", "\n"))


def visible_json(text: str) -> str:
    """JSON that means the same and is safe to show: odd characters, which stand in its strings only, are escaped."""
    return _IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def storable(text: str, *, most: int | None = None) -> str:
    r"""`text` without what a store may refuse, NUL and lone surrogates; cut with a note after `most` characters."""
    text = text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    return text if most is None or len(text) <= most else f"{text[:most]} ... ({len(text):,} characters)"


def is_storable(text: str) -> bool:
    """Whether every store takes `text` as it is, so that it may be looked for; what is not was never stored."""
    return storable(text) == text


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
