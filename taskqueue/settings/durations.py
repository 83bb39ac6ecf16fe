"""Durations and sizes as people write them."""

from __future__ import annotations

import math
import re
from typing import Any

SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"": 1, "b": 1}
BYTES |= {f"{letter}b": 1000**power for power, letter in enumerate("kmgt", start=1)}
BYTES |= {f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", start=1)}
LONGEST = 36_500 * 86_400.0

_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)", re.ASCII)


def duration(value: Any) -> float:
    """Seconds of a number or of a text such as "500ms", "30s", "10m", "2h", "30d"; ValueError for anything else."""
    seconds = _quantity(value, SECONDS)
    if seconds is None or not 0 <= seconds <= LONGEST:
        raise ValueError('expected a duration from 0 to 100 years: seconds, or "500ms", "30s", "10m", "2h", "30d"')
    return seconds


def size(value: Any) -> int:
    """Bytes of a number or of a text such as "512MB" (10^6) or "512MiB" (2^20); ValueError for anything else."""
    count = _quantity(value, BYTES)
    if count is None or count < 0 or count != int(count):
        raise ValueError('expected a size: bytes, or "512MB", "512MiB", "2GiB"')
    return int(count)


def message_size(value: Any) -> int:
    """What one message may have at SQS: from 4 KiB to 1 MiB."""
    count = size(value)
    if not 4096 <= count <= 1024 * 1024:
        raise ValueError('expected a size from "4KiB" to "1MiB"')
    return count


def _quantity(value: Any, units: dict[str, Any]) -> float | None:
    """The number with its unit applied; None if it is none."""
    if isinstance(value, str):
        found = _QUANTITY.fullmatch(value.strip())
        unit = found and units.get(found[2].lower())
        return float(found[1]) * unit if found and unit else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value if abs(value) < 1e18 else None
