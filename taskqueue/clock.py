"""The clock that is passed in: durations by a monotonic clock, records by aware UTC.

Records are stored as integers, microseconds since 1970-01-01 UTC: the same on every database, in every time zone.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What time it is. Tests give their own."""

    def monotonic(self) -> float:
        """Seconds from some fixed point; never set back."""

    def micros(self) -> int:
        """Wall time for records: microseconds since 1970, UTC."""


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def micros(self) -> int:
        return time.time_ns() // 1000


def to_datetime(micros: int) -> datetime:
    """Aware UTC of a stored time."""
    return EPOCH + timedelta(microseconds=micros)


def to_micros(moment: datetime) -> int:
    """Stored form of an aware datetime; a naive one is refused (ValueError)."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; use an aware datetime, e.g. datetime.now(UTC)")
    return (moment - EPOCH) // timedelta(microseconds=1)
