from __future__ import annotations

import math
from datetime import date

import pytest

from taskqueue.settings.durations import duration, size


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (30, 30.0),
        (0, 0.0),
        (1.5, 1.5),
        ("30", 30.0),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("10m", 600.0),
        ("2h", 7200.0),
        ("30d", 2_592_000.0),
        ("1.5h", 5400.0),
        (" 10 M ", 600.0),
    ],
)
def test_durations(given, seconds):
    assert duration(given) == seconds


@pytest.mark.parametrize(
    "given",
    [-1, "-1s", math.nan, math.inf, True, None, [], date(2020, 1, 1), "", "s", "1w", "1 h 30 m", "1e5s", 1e300, "٣s"],
)
def test_what_is_no_duration(given):
    with pytest.raises(ValueError, match="expected a duration"):
        duration(given)


@pytest.mark.parametrize(
    ("given", "count"),
    [(512, 512), ("512MB", 512_000_000), ("512MiB", 2**29), ("1.5 gib", 3 * 2**29), ("7b", 7), ("9", 9)],
)
def test_sizes(given, count):
    assert size(given) == count
    assert isinstance(size(given), int)


@pytest.mark.parametrize("given", [-1, 1.5, "1.5", True, "512M", "many", math.inf, None])
def test_what_is_no_size(given):
    with pytest.raises(ValueError, match="expected a size"):
        size(given)
