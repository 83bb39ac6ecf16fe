from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from taskqueue.clock import to_micros
from taskqueue.operations import times


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (-1, "0 ms"),
        (0.0124, "12 ms"),
        (3.21, "3.2 s"),
        (60, "1 min"),
        (303, "5 min 3 s"),
        (7800, "2 h 10 min"),
        (7259, "2 h"),
        (3 * 86400 + 4 * 3600 + 59, "3 d 4 h"),
        (400 * 86400, "400 d"),
    ],
)
def test_a_span_is_told_in_two_units_at_the_most(span, words):
    assert times.seconds(span) == words


def test_people_read_local_time_with_its_offset_and_programs_utc():
    """P20."""
    winter, summer = (to_micros(datetime(2026, month, 15, 12, tzinfo=UTC)) for month in (1, 7))
    assert times.local(winter) == "2026-01-15 13:00:00+01:00"
    assert times.local(summer) == "2026-07-15 14:00:00+02:00"
    assert times.rfc3339(summer) == "2026-07-15T12:00:00.000000Z"
    assert (times.local(None), times.rfc3339(None), times.between(None, summer)) == ("", None, "")


def test_in_a_list_what_a_reader_knows_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(times, "_now", lambda: datetime(2026, 7, 15, 12, tzinfo=UTC).astimezone())
    assert times.offset() == "+02:00"
    moments = {
        (2026, 7, 15, 8): "10:00:00",
        (2026, 7, 14, 8): "07-14 10:00:00",
        (2026, 1, 15, 8): "01-15 09:00:00+01:00",
        (2025, 8, 15, 8): "2025-08-15 10:00:00",
    }
    for moment, words in moments.items():
        assert times.brief(to_micros(datetime(*moment, tzinfo=UTC))) == words
