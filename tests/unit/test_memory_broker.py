"""The broker in memory by a clock of the test's own, as `taskqueue.testing` uses it."""

from __future__ import annotations

import pytest

from taskqueue.brokers.memory import InMemoryQueueBroker
from taskqueue.message import Message
from tests.support.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def broker(clock: FakeClock) -> InMemoryQueueBroker:
    return InMemoryQueueBroker("mail", clock=clock, immediate=False)


def test_delays_pass_by_the_given_clock(broker: InMemoryQueueBroker, clock: FakeClock) -> None:
    broker.push([Message("a", b"", delay=3600)])
    clock.advance(3599)
    assert not broker.ready()
    assert broker.due_in() == pytest.approx(1)
    clock.advance(1)
    assert broker.wait(0)
    assert [d.id for d in broker.pop(limit=1, lease=60)] == ["a"]


def test_leases_end_by_the_given_clock(broker: InMemoryQueueBroker, clock: FakeClock) -> None:
    broker.push([Message("a", b"")])
    broker.pop(limit=1, lease=60)
    clock.advance(59)
    assert broker.recover() == []
    clock.advance(2)
    assert [lost.id for lost in broker.recover()] == ["a"]


def test_without_leases_nothing_is_ever_taken_away(clock: FakeClock) -> None:
    """R18"""
    broker = InMemoryQueueBroker("mail", clock=clock)
    broker.push([Message("a", b"", delay=60)])
    held = broker.pop(limit=1, lease=0)
    clock.advance(1e6)
    assert broker.recover() == []
    assert broker.extend(held, lease=1) == broker.ack(held) == {held[0].receipt}
