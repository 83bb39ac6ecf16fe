"""The long poll by itself, against a `receive` that the test holds in its hand (R8)."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskqueue.brokers.sqs_poll import LongPoll
from taskqueue.errors import BrokerUnavailable
from taskqueue.message import Delivery
from tests.support.eventually import eventually

ONE = Delivery("a", b"x", "receipt")


class Service:
    """Answers when it is told to."""

    def __init__(self):
        self.asked, self.answers = threading.Event(), threading.Event()
        self.found = [ONE]
        self.error = None
        self.given_back = []
        self.poll = LongPoll(self.receive, self.given_back.extend)

    def receive(self, _seconds):
        self.asked.set()
        assert self.answers.wait(20)
        if self.error is not None:
            raise self.error
        return self.found


@pytest.fixture
def service():
    made = Service()
    yield made
    made.answers.set()
    made.poll.close(20)


def test_what_arrives_is_kept_for_who_takes_it(service):
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(service.poll.wait, 20, None, longest=20)
        service.answers.set()
        assert answer.result(20)
    assert service.poll.take(10) == [ONE]
    assert service.poll.take(10) == []
    assert service.given_back == []


def test_an_interrupt_ends_the_wait_and_what_arrives_afterwards_goes_back(service):
    out, into = os.pipe()
    try:
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(service.poll.wait, 20, out, longest=20)
            assert service.asked.wait(20)
            os.write(into, b"!")
            assert answer.result(20) is False
    finally:
        os.close(out)
        os.close(into)
    assert service.poll.going_on
    service.answers.set()
    eventually(lambda: service.given_back == [ONE])
    assert not service.poll.ready


def test_who_waits_again_joins_the_poll_that_goes_on(service):
    assert not service.poll.wait(0.01, None, longest=20)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(service.poll.wait, 20, None, longest=20)
        eventually(lambda: service.poll._bells)
        service.answers.set()
        assert answer.result(20)
    assert service.poll.take(10) == [ONE]


def test_an_error_is_raised_to_who_waits(service):
    service.error = BrokerUnavailable("away")
    service.answers.set()
    with pytest.raises(BrokerUnavailable, match="away"):
        service.poll.wait(20, None, longest=20)


def test_what_nobody_took_goes_back_at_the_end(service):
    service.poll.put([ONE])
    service.poll.close(1)
    assert service.given_back == [ONE]
