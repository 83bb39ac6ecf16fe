"""How the demo's numbers and names read."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """A number of things: `1 file`, `1,702 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def sized(number: float) -> str:
    """Bytes: `812 bytes`, `31.2 MB`."""
    if number < 1000:
        return count(round(number), "byte")
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 1000:
            return f"{number:,.1f} {unit}"
    return f"{number / 1000:,.1f} TB"


def shortened(text: str, most: int) -> str:
    """At the most so many characters of a path: its end says more than its beginning."""
    return text if len(text) <= most else f"…{text[len(text) - most + 1 :]}"
