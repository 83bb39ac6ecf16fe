"""How long a worker waits before it asks a store again that was away."""

from __future__ import annotations

from random import Random

import pytest

from taskqueue.clock import SystemClock
from taskqueue.worker.outage import Outage, Outages


@pytest.mark.parametrize("seed", range(5))
def test_a_store_is_asked_ever_more_seldom_and_every_two_seconds_at_last(seed):
    outage = Outage(Random(seed))
    waits, now = [], 100.0
    for _ in range(20):
        outage.failed(now, OSError("away"))
        waits.append(outage.until - now)
        now = outage.until
    assert 0.05 <= waits[0] <= 0.1
    assert max(waits) <= 2.0
    assert all(wait >= 1.0 for wait in waits[6:])


def test_a_store_that_is_back_is_asked_at_once():
    outage = Outage(Random(7))
    outage.failed(100.0, OSError("away"))
    assert outage.on
    outage.worked(101.0)
    assert not outage.on
    assert outage.until == 0.0


def test_how_often_and_how_long_stores_were_away_adds_up():
    outages = Outages(SystemClock(), Random(7))
    outages.of("one").failed(100.0, OSError("away"))
    outages.of("one").failed(101.0, OSError("still away"))
    outages.of("two").failed(102.0, OSError("away"))
    assert (outages.times, outages.seconds(103.0)) == (2, 4.0)
    outages.of("one").worked(103.0)
    assert outages.seconds(110.0) == 11.0
    outages.of("two").worked(110.0)
    outages.of("one").failed(200.0, OSError("away again"))
    assert (outages.times, outages.seconds(201.0)) == (3, 12.0)
