"""What every broker promises. `open_broker()` gives a handle; two handles stand for two workers on one store."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskqueue.brokers.base import Broker, Depth
from taskqueue.errors import Deposed, MessageTooLarge
from taskqueue.message import Delivery, Lost, Message
from tests.support.backends import Backend, OpenBroker

ROOT = Path(__file__).parents[2]
MOMENT = 0.05
LONG = 60.0
shared_folder = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
queue_names = (f"q{number}" for number in itertools.count())


@pytest.fixture
def broker(open_broker: OpenBroker) -> Broker:
    return open_broker()


@pytest.fixture
def other(open_broker: OpenBroker, broker: Broker) -> Broker:
    return open_broker()


def push(broker: Broker, *ids: str, **options: Any) -> None:
    broker.push([Message(name, name.encode(), **options) for name in ids])


def pop(broker: Broker, limit: int = 100, lease: float = LONG) -> list[Delivery]:
    return broker.pop(limit=limit, lease=lease)


def ids(deliveries: Iterable[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


def receipts(deliveries: Iterable[Delivery]) -> set[str]:
    return {delivery.receipt for delivery in deliveries}


def pop_within(broker: Broker, seconds: float = 5.0) -> list[Delivery]:
    assert broker.wait(seconds)
    return pop(broker)


def counts(broker: Broker, waiting: int, delayed: int, leased: int) -> bool:
    """Whether its depth is this; where the store only estimates, whether it says so."""
    depth, exact = broker.depth(), broker.capabilities.exact
    return depth == Depth(waiting, delayed, leased) if exact else depth.approximate and depth.total >= 0


def recovered(broker: Broker, seconds: float = 5.0) -> list[Lost]:
    """What `recover` brings back once leases have ended."""
    deadline = time.monotonic() + seconds
    while not (lost := broker.recover()):
        assert time.monotonic() < deadline, "the lease did not end"
    return lost


def again_to_be_had(broker: Broker) -> None:
    """Until what an ended lease held is back, by whosever hand."""
    if broker.capabilities.recovers:
        recovered(broker)
    else:
        broker.release(pop_within(broker))


# Pushing and popping


def test_what_is_empty_gives_nothing(broker: Broker) -> None:
    assert pop(broker) == []
    assert not broker.ready()
    assert counts(broker, 0, 0, 0)
    assert broker.due_in() is None


def test_what_was_pushed_is_popped_in_that_order(broker: Broker) -> None:
    push(broker, "a", "b")
    push(broker, "c")
    assert broker.ready()
    assert [(d.id, d.body) for d in pop(broker)] == [("a", b"a"), ("b", b"b"), ("c", b"c")]


def test_pushing_nothing_is_nothing(broker: Broker) -> None:
    broker.push([])
    assert pop(broker) == []


@pytest.mark.requires("ordered")
@shared_folder
@given(pushes=st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=8), limits=st.lists(st.integers(1, 7)))
def test_by_priority_then_first_in_first_out(
    open_broker: OpenBroker, pushes: list[list[int]], limits: list[int]
) -> None:
    """P13"""
    broker, number = open_broker(next(queue_names)), itertools.count()
    batches = [[Message(f"{next(number)}", b"", priority) for priority in batch] for batch in pushes]
    for batch in batches:
        broker.push(batch)
    expected = sorted(itertools.chain(*batches), key=lambda message: message.priority)
    popped = [d for limit in [*limits, 100] for d in pop(broker, limit)]
    assert [(d.id, d.priority) for d in popped] == [(m.id, m.priority) for m in expected]


def test_a_pop_gives_no_more_than_its_limit(broker: Broker) -> None:
    push(broker, *"abcde")
    assert [ids(pop(broker, 2)) for _ in range(4)] == [["a", "b"], ["c", "d"], ["e"], []]


def test_a_full_batch_passes_in_one_call(broker: Broker) -> None:
    most = broker.capabilities.max_batch
    push(broker, *map(str, range(most)))
    held = pop(broker, most)
    assert ids(held) == list(map(str, range(most)))
    assert broker.extend(held, lease=LONG) == receipts(held)
    assert broker.ack(held) == receipts(held)


def test_queues_do_not_see_each_other(open_broker: OpenBroker) -> None:
    mail, reports = open_broker("mail"), open_broker("reports")
    push(mail, "a")
    assert pop(reports) == []
    push(reports, "b")
    assert ids(pop(mail)) == ["a"]
    assert counts(reports, 1, 0, 0)


@shared_folder
@given(bodies=st.lists(st.one_of(st.binary(), st.text().map(str.encode)), min_size=1, max_size=5))
def test_bodies_come_back_byte_for_byte(open_broker: OpenBroker, bodies: list[bytes]) -> None:
    broker = open_broker(next(queue_names))
    broker.push([Message(str(number), body) for number, body in enumerate(bodies)])
    assert [d.body for d in pop(broker)] == bodies


@pytest.mark.requires("any_name")
def test_queues_and_ids_may_have_any_letters(open_broker: OpenBroker) -> None:
    broker = open_broker("Grüße & 'quotes' %s :x 100% 🐝")
    push(broker, "ä'; --")
    assert ids(pop(broker)) == ["ä'; --"]
    assert counts(broker, 0, 0, 1)


def test_a_body_of_the_largest_size_passes_and_a_larger_one_is_refused(broker: Broker) -> None:
    most = broker.capabilities.max_body
    broker.push([Message("a", bytes(most))])
    with pytest.raises(MessageTooLarge, match=rf"'mail': message b has {most + 1:,} bytes.* pass a reference"):
        broker.push([Message("b", bytes(most + 1))])
    assert [len(d.body) for d in pop(broker)] == [most]


def test_a_push_is_all_or_nothing(broker: Broker) -> None:
    """P1"""
    with pytest.raises(MessageTooLarge):
        broker.push([Message("small", b"."), Message("large", bytes(broker.capabilities.max_body + 1))])
    assert pop(broker) == []
    assert counts(broker, 0, 0, 0)


def test_initialising_twice_touches_nothing(broker: Broker, other: Broker) -> None:
    """P17"""
    push(broker, "a")
    for handle in (broker, other):
        handle.initialize()
    assert ids(pop(other)) == ["a"]


@pytest.mark.requires("durable")
def test_messages_outlive_their_producer(open_broker: OpenBroker) -> None:
    producer = open_broker()
    push(producer, "a")
    producer.close()
    assert ids(pop(open_broker())) == ["a"]


# Leases


def test_what_one_holds_no_other_gets(broker: Broker, other: Broker) -> None:
    push(broker, *"abc")
    assert ids(pop(broker, 2)) == ["a", "b"]
    assert ids(pop(other)) == ["c"]
    assert pop(broker) == []


def test_what_is_acked_is_gone(broker: Broker) -> None:
    push(broker, *"ab")
    first, second = held = pop(broker)
    assert broker.ack([first]) == {first.receipt}
    assert broker.ack(held) == {second.receipt}
    assert broker.ack(held) == set()
    assert counts(broker, 0, 0, 0)


def test_only_the_holder_may_ack_extend_or_release(broker: Broker, other: Broker) -> None:
    push(broker, "a")
    held = pop(broker)
    assert other.ack(held) == other.extend(held, lease=LONG) == other.release(held) == set()
    assert broker.extend(held, lease=LONG) == receipts(held)
    assert counts(broker, 0, 0, 1)


@pytest.mark.requires("leases", "recovers")
def test_what_an_ended_lease_held_comes_back(broker: Broker, other: Broker) -> None:
    push(broker, "a")
    assert ids(pop(broker, lease=MOMENT)) == ["a"]
    assert recovered(other) == [Lost("a", broker.owner, only_one=True)]
    assert ids(pop(other)) == ["a"]


@pytest.mark.requires("leases")
def test_a_lease_in_force_is_left_alone(broker: Broker, other: Broker) -> None:
    push(broker, *"ab")
    pop(broker)
    assert other.recover() == other.recover(["somebody else"]) == []
    assert pop(other) == []


@pytest.mark.requires("leases")
def test_what_a_lease_held_comes_back_of_itself_where_nobody_recovers_it(broker: Broker, other: Broker) -> None:
    if broker.capabilities.recovers:
        pytest.skip("somebody has to recover it")
    push(broker, *"ab")
    renewed = [d for d in pop(broker, lease=MOMENT) if d.id == "a"]
    assert broker.extend(renewed, lease=LONG) == receipts(renewed)
    assert other.recover([broker.owner]) == []
    assert ids(pop_within(other)) == ["b"]
    assert broker.ack(renewed) == receipts(renewed)


@pytest.mark.requires("leases", "recovers")
def test_a_renewed_lease_does_not_end(broker: Broker, other: Broker) -> None:
    push(broker, *"ab")
    renewed, ended = pop(broker, lease=MOMENT)
    assert broker.extend([renewed], lease=LONG) == {renewed.receipt}
    assert [x.id for x in recovered(other)] == [ended.id]
    assert broker.ack([renewed]) == {renewed.receipt}


@pytest.mark.requires("leases")
def test_a_stale_receipt_moves_nothing(broker: Broker, other: Broker) -> None:
    """P2: neither the holder whose lease has ended nor anybody with an earlier receipt touches the new hand-over."""
    push(broker, "a")
    stale = pop(broker, lease=MOMENT)
    again_to_be_had(other)
    assert broker.ack(stale) == broker.extend(stale, lease=LONG) == broker.release(stale) == set()
    again = pop(broker)
    assert broker.ack(stale) == broker.extend(stale, lease=LONG) == broker.release(stale, delay=1) == set()
    assert broker.ack(again) == receipts(again) != receipts(stale)


@pytest.mark.requires("ordered")
def test_what_is_released_comes_first_at_its_priority_and_in_its_order(broker: Broker, other: Broker) -> None:
    push(broker, *"abc")
    held = pop(broker)
    push(broker, "d")
    push(broker, "urgent", priority=0)
    assert broker.release(reversed_(held)) == receipts(held)
    assert broker.release(held) == set()
    assert ids(pop(other)) == ["urgent", "a", "b", "c", "d"]


def reversed_(deliveries: list[Delivery]) -> list[Delivery]:
    return deliveries[::-1]


def test_a_part_may_be_released(broker: Broker, other: Broker) -> None:
    push(broker, *"abc")
    first, *rest = pop(broker)
    assert broker.release(rest) == receipts(rest)
    assert ids(pop(other)) == ["b", "c"]
    assert broker.ack([first]) == {first.receipt}


@pytest.mark.requires("ordered")
def test_what_must_be_alone_is_delivered_by_itself(broker: Broker) -> None:
    """R5"""
    push(broker, *"abcd")
    a, b, c, d = pop(broker)
    broker.release([a])
    broker.release([b, c], alone=True)
    broker.release([d])
    turns = [[(x.id, x.alone) for x in pop(broker)] for _ in range(5)]
    assert turns == [[("a", False)], [("b", True)], [("c", True)], [("d", False)], []]


def test_what_must_be_alone_stays_so_until_it_is_acked(broker: Broker) -> None:
    push(broker, *"ab")
    broker.release(pop(broker), alone=True)
    broker.release(pop(broker))
    assert [x.alone for x in pop(broker) + pop(broker)] == [True, True]


def test_what_is_pushed_to_be_alone_is_so(broker: Broker) -> None:
    """R5"""
    broker.push([Message("a", b"x", alone=True), Message("b", b"x", alone=True), Message("c", b"x")])
    turns = [pop(broker) for _ in range(3)]
    assert sorted((d.id, d.alone) for turn in turns for d in turn) == [("a", True), ("b", True), ("c", False)]
    assert [len(turn) for turn in turns] == [1, 1, 1]


# Dead owners


@pytest.mark.requires("leases", "recovers")
def test_what_the_dead_held_comes_back_at_once(broker: Broker, other: Broker) -> None:
    """P3"""
    push(broker, "a", priority=9)
    push(broker, "b", priority=0)
    pop(broker)
    push(other, *"cd")
    assert other.recover([broker.owner]) == [Lost("b", broker.owner), Lost("a", broker.owner)]
    assert [ids(pop(other)) for _ in range(3)] == [["b"], ["c", "d"], ["a"]]


@pytest.mark.requires("leases", "recovers")
def test_the_only_message_of_the_dead_is_named_so_and_others_are_leased_alone(
    broker: Broker, open_broker: OpenBroker
) -> None:
    """R5: with one message there is no doubt; with several, nobody knows which was the reason."""
    single, several = open_broker(), open_broker()
    push(broker, *"abc")
    pop(single, 1)
    pop(several, 2)
    lost = broker.recover([single.owner, several.owner])
    assert [(x.id, x.only_one) for x in lost] == [("a", True), ("b", False), ("c", False)]
    assert [[(x.id, x.alone) for x in pop(broker)] for _ in range(3)] == [
        [("a", False)],
        [("b", True)],
        [("c", True)],
    ]


@pytest.mark.requires("leases", "recovers")
def test_a_deposed_owner_claims_nothing_more(broker: Broker, other: Broker) -> None:
    """R1"""
    push(broker, *"ab")
    held = pop(broker, 1)
    other.recover([broker.owner])
    with pytest.raises(Deposed, match=rf"'mail'.*{broker.owner}.*must leave"):
        pop(broker)
    assert broker.ack(held) == set()
    assert sorted(ids(pop(other))) == ["a", "b"]


@pytest.mark.requires("leases", "recovers")
def test_the_deposed_need_not_have_held_anything(broker: Broker, other: Broker) -> None:
    push(broker, "a")
    broker.ack(pop(broker))
    assert other.recover([broker.owner]) == []
    push(other, "b")
    with pytest.raises(Deposed):
        pop(broker)


# Delays


@pytest.mark.requires("delays")
def test_what_is_delayed_comes_when_it_is_due(broker: Broker) -> None:
    """P13"""
    pushed = time.monotonic()
    push(broker, "later", delay=0.2)
    push(broker, "much later", delay=LONG)
    assert (broker.due_in() or 0) <= 0.2 or not broker.capabilities.exact
    assert counts(broker, 0, 2, 0)
    assert ids(pop_within(broker)) == ["later"]
    assert time.monotonic() >= pushed + 0.2
    assert counts(broker, 0, 1, 1)
    assert LONG - 10 < (broker.due_in() or 0) <= LONG or not broker.capabilities.exact


@pytest.mark.requires("delays")
@pytest.mark.requires("ordered")
def test_what_is_due_joins_the_end_of_its_priority(broker: Broker) -> None:
    broker.push([Message("late", b"", delay=MOMENT), Message("urgent", b"", 0, delay=MOMENT)])
    push(broker, "early")
    deadline = time.monotonic() + 5
    while (broker.due_in() or 0) > 0:
        assert time.monotonic() < deadline
    assert ids(pop(broker)) == ["urgent", "early", "late"]


@pytest.mark.requires("delays")
def test_what_is_released_with_a_delay_waits(broker: Broker, other: Broker) -> None:
    push(broker, *"abc")
    held = pop(broker)
    released = time.monotonic()
    assert broker.release(held[:2], delay=0.2) == receipts(held[:2])
    assert broker.release(held[2:], delay=LONG) == receipts(held[2:])
    assert counts(broker, 0, 3, 0)
    assert ids(pop_within(other)) == ["a", "b"]
    assert time.monotonic() >= released + 0.2


def test_a_broker_without_delays_ignores_them(broker: Broker) -> None:
    """R18"""
    if broker.capabilities.delays:
        pytest.skip("has delays")
    push(broker, "a", delay=LONG)
    held = pop(broker)
    broker.release(held, delay=LONG)
    assert ids(pop(broker)) == ["a"]


# Counting


def test_depth_counts_each_kind(broker: Broker) -> None:
    push(broker, *"abcde")
    held = pop(broker, 3)
    broker.ack(held[:1])
    assert counts(broker, 2, 0, 2)
    broker.release(held[1:2])
    assert counts(broker, 3, 0, 1)
    assert broker.depth().total == 4 or not broker.capabilities.exact


@pytest.mark.requires("leases", "recovers")
def test_depth_knows_of_what_was_recovered(broker: Broker, other: Broker) -> None:
    push(broker, *"abc")
    pop(broker, 2)
    other.recover([broker.owner])
    assert counts(other, 3, 0, 0)


# Waiting


def waiting(broker: Broker, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    """A `wait` in a thread of its own that has looked, found nothing, and is about to sleep."""
    looked, look = threading.Event(), broker.ready

    def ready() -> bool:
        found = look()
        looked.set()
        return found

    monkeypatch.setattr(broker, "ready", ready)
    answer = pool.submit(broker.wait, 20, **options)
    assert looked.wait(10)
    return answer


def test_waiting_for_nothing_ends_in_time(broker: Broker) -> None:
    started = time.monotonic()
    assert not broker.wait(MOMENT)
    assert MOMENT <= time.monotonic() - started < 5
    assert not broker.wait(0)


def test_who_waits_for_what_is_there_does_not_wait(broker: Broker, other: Broker) -> None:
    push(broker, "a")
    assert other.wait(LONG)
    assert ids(pop(other)) == ["a"]


def test_a_push_wakes_who_waits(broker: Broker, other: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor() as pool:
        answer = waiting(broker, pool, monkeypatch)
        push(other, "a")
        assert answer.result(timeout=5)
    assert ids(pop(broker)) == ["a"]


def test_a_release_wakes_who_waits(broker: Broker, other: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    push(other, "a")
    held = pop(other)
    with ThreadPoolExecutor() as pool:
        answer = waiting(broker, pool, monkeypatch)
        other.release(held)
        assert answer.result(timeout=5)


@pytest.mark.requires("leases", "recovers")
def test_a_recovery_wakes_who_waits(broker: Broker, other: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    push(other, "a")
    pop(other)
    with ThreadPoolExecutor() as pool:
        answer = waiting(broker, pool, monkeypatch)
        other.recover([other.owner])
        assert answer.result(timeout=5)


@pytest.mark.requires("delays")
def test_a_delayed_push_wakes_who_waits_when_it_is_due(
    broker: Broker, other: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor() as pool:
        answer = waiting(broker, pool, monkeypatch)
        started = time.monotonic()
        push(other, "a", delay=0.2)
        assert answer.result(timeout=5)
        # A broker may take a ring at its word: that there is a message now, if not yet a due one.
        while not (found := pop(broker)):
            assert broker.wait(LONG)
        assert time.monotonic() - started >= 0.2
    assert ids(found) == ["a"]


def test_two_pushes_wake_two_who_wait(broker: Broker, open_broker: OpenBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor() as pool:
        answers = [waiting(open_broker(), pool, monkeypatch) for _ in range(2)]
        push(broker, "a", "b")
        assert [answer.result(timeout=5) for answer in answers] == [True, True]


def test_an_interrupt_ends_the_wait(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    out, into = os.pipe()
    try:
        with ThreadPoolExecutor() as pool:
            answer = waiting(broker, pool, monkeypatch, interrupt=out)
            os.write(into, b"!")
            assert answer.result(timeout=5) is False
    finally:
        os.close(out)
        os.close(into)


# Together


def many(broker: Broker, number: int) -> int:
    """So many; far fewer where a call is across a network and takes ten at most."""
    return number if broker.capabilities.max_batch > 10 else 150


def once(broker: Broker, names: Iterable[str]) -> list[str]:
    """In their order; a store that may hand out a message twice may have done so."""
    return sorted(names if broker.capabilities.once else set(names), key=int)


def test_two_who_pop_at_once_never_get_the_same(broker: Broker, open_broker: OpenBroker) -> None:
    """P2"""
    names = [str(number) for number in range(many(broker, 600))]
    for start in range(0, len(names), 100):
        push(broker, *names[start : start + 100])
    handles, start_line = [open_broker() for _ in range(2)], threading.Barrier(2)

    def drain(handle: Broker) -> list[str]:
        start_line.wait()
        return [d.id for batch in iter(lambda: pop(handle, 7), []) for d in batch]

    with ThreadPoolExecutor() as pool:
        popped = list(pool.map(drain, handles))
    assert once(broker, itertools.chain(*popped)) == names


@pytest.mark.process
@pytest.mark.requires("shared")
def test_two_processes_drain_thousands_of_messages_exactly_once(
    backend: Backend, broker: Broker, tmp_path: Path
) -> None:
    """P2"""
    names = [str(number) for number in range(many(broker, 4000))]
    for start in range(0, len(names), broker.capabilities.max_batch):
        push(broker, *names[start : start + broker.capabilities.max_batch])
    command = [sys.executable, "-m", "tests.support.drain", backend.name, str(tmp_path), broker.queue, "20"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as running:
        drains = [running.enter_context(subprocess.Popen(command, cwd=ROOT, **pipes)) for _ in range(2)]
        assert [drain.stdout.readline() for drain in drains] == ["ready\n"] * 2
        for drain in drains:
            drain.stdin.write("go\n")
            drain.stdin.flush()
        with ThreadPoolExecutor() as pool:
            shares = list(pool.map(lambda drain: drain.communicate(timeout=50)[0].split(), drains))
    assert once(broker, itertools.chain(*shares)) == names
    assert all(shares), "one of two had nothing at all"
    assert counts(broker, 0, 0, 0)


@pytest.mark.requires("transactional")
def test_what_is_rolled_back_never_happened(broker: Any, other: Broker) -> None:
    push(broker, "a")

    def step_that_fails() -> None:
        with broker.database.begin():
            push(broker, "b")
            broker.ack(pop(broker))
            raise Undone

    with pytest.raises(Undone):
        step_that_fails()
    assert counts(broker, 1, 0, 0)
    assert counts(other, 1, 0, 0)
    assert ids(pop(other)) == ["a"]
    push(broker, "c")
    assert ids(pop(broker)) == ["c"]


class Undone(Exception):
    pass
