from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.support.gauges import SLACK, Sample, grown

FLAT = Sample(memory=50_000_000, descriptors=12, threads=2, connections=2)


def test_what_stays_as_it_is_has_not_grown() -> None:
    noisy = [replace(FLAT, memory=FLAT.memory + number % 3 * 100_000) for number in range(100)]
    assert grown(noisy) == []


@pytest.mark.parametrize("name", ["descriptors", "threads", "connections"])
def test_one_more_at_the_end_is_told(name: str) -> None:
    leaking = [replace(FLAT, **{name: getattr(FLAT, name) + (number >= 90)}) for number in range(100)]
    assert grown(leaking) == [f"{name}: {getattr(FLAT, name)} became {getattr(FLAT, name) + 1}"]


def test_a_peak_in_between_is_no_growth() -> None:
    assert grown([FLAT] * 45 + [replace(FLAT, descriptors=99)] * 10 + [FLAT] * 45) == []


def test_memory_that_grows_bit_by_bit_is_told() -> None:
    leaking = [replace(FLAT, memory=FLAT.memory + number * SLACK // 50) for number in range(100)]
    assert grown(leaking)[0].startswith("memory: ")
