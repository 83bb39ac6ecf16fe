"""What workers count, and the memory that keeps it."""

from __future__ import annotations

import mmap
import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue.status import Status
from taskqueue.tasklog.entry import Attempt, Cause, Outcome
from taskqueue.worker import block as blocks
from taskqueue.worker.block import CAPACITY, SIZE, Block
from taskqueue.worker.counters import DURATIONS, OTHER, UNKNOWN, Counters, Counts, Histogram, decode
from taskqueue.worker.outage import Outages
from tests.support.clock import FakeClock


@pytest.fixture
def block():
    return Block(mmap.mmap(-1, 2 * SIZE), offset=SIZE)


@pytest.fixture
def outages():
    return Outages(FakeClock(), SimpleNamespace(uniform=lambda low, high: high))


def work(name="shop:mail", *, queue="mails", known=True):
    return SimpleNamespace(queue=SimpleNamespace(name=queue), name=name, decoded=object() if known else None)


def outcome(status=Status.COMPLETED, *, seconds=0.5, attempts=1, cause=None, started=True, unknown_since=None):
    at = 1_000_000
    attempt = Attempt(task_id="1", fence=1, attempt=1, cause=cause, ended_at=at) if cause else None
    given_up = cause in (Cause.LEASE_LOST, Cause.STOPPED)
    return Outcome(
        id="1",
        fence=1,
        status=status,
        queue="mails",
        attempts=attempts,
        started_at=at if started and not given_up else None,
        finished_at=at + int(seconds * 1e6) if started and not given_up else None,
        attempt=attempt,
        unknown_since=unknown_since,
    )


ENDS = [
    (outcome(), True, "completed"),
    (outcome(Status.FAILED), True, "failed"),
    (outcome(Status.CANCELLED), True, "cancelled"),
    (outcome(Status.CANCELLED, started=False), True, "cancelled"),
    (outcome(Status.ENQUEUED, cause=Cause.RETRY), True, "retried"),
    (outcome(Status.ENQUEUED, cause=Cause.TIMEOUT), True, "retried"),
    (outcome(Status.ENQUEUED, cause=Cause.STOPPED), True, "stopped"),
    (outcome(Status.ENQUEUED, cause=Cause.LEASE_LOST), True, "lease_lost"),
    (outcome(Status.ENQUEUED, cause=Cause.LEASE_LOST), False, "lease_lost"),
    (outcome(Status.ENQUEUED, started=False, unknown_since=5), True, "not_known"),
    (outcome(), False, "late"),
    (outcome(Status.ENQUEUED, cause=Cause.RETRY), False, "late"),
]


@pytest.mark.parametrize(("ended", "accepted", "said"), ENDS)
def test_what_became_of_a_run_is_counted_by_its_word(block, outages, ended, accepted, said):
    counters = Counters(block)
    counters.count(work(), ended, accepted=accepted)
    counters.publish(0.0, outages=outages)
    tally = decode(block.read()).tasks["mails"]["shop:mail"]
    assert tally.outcomes == {said: 1}
    assert tally.durations.count == (ended.started_at is not None)
    assert tally.attempts.count == (accepted and ended.status.ended and ended.started_at is not None)
    assert tally.lease_losses == (said == "lease_lost")


@pytest.mark.parametrize(("seconds", "bucket"), [(0, 0), (0.001, 0), (0.0011, 1), (7200, 14), (7201, 15)])
def test_durations_fall_between_their_bounds(block, outages, seconds, bucket):
    counters = Counters(block)
    counters.count(work(), outcome(seconds=seconds), accepted=True)
    counters.publish(0.0, outages=outages)
    durations = decode(block.read()).tasks["mails"]["shop:mail"].durations
    assert durations.counts == [n == bucket for n in range(len(DURATIONS) + 1)]
    assert durations.sum == pytest.approx(seconds)


def test_the_next_process_goes_on_from_what_the_last_one_published(block, outages):
    for life in range(1, 4):
        counters = Counters(block)
        counters.count(work(), outcome(), accepted=True)
        counters.lost(work())
        outages.of("a store").failed(5.0, OSError())
        outages.of("a store").worked(7.0)
        counters.publish(0.0, outages=outages)
        counters.count(work(), outcome(), accepted=True)  # what is not published is lost with its process
        counts = decode(block.read())
        assert counts.tasks["mails"]["shop:mail"].outcomes == {"completed": life}
        assert counts.tasks["mails"]["shop:mail"].lease_losses == life
        outages = Outages(FakeClock(), SimpleNamespace(uniform=lambda low, high: high))
        assert (counts.outages, counts.outage_seconds) == (life, 2.0 * life)


def test_nothing_is_written_before_it_is_time(block, outages):
    counters = Counters(block)
    counters.tell(0.0, outages=outages)
    assert block.read() is None
    assert counters.next(0.0) > 1
    counters.count(work(), outcome(), accepted=True)
    assert counters.next(0.0) == 0.0
    counters.tell(0.0, outages=outages)
    first = block.read()
    assert first
    counters.count(work(), outcome(), accepted=True)
    counters.tell(0.9, outages=outages)
    assert block.read() == first
    assert counters.next(0.9) == 1.0
    counters.tell(1.0, outages=outages)
    assert decode(block.read()).tasks["mails"]["shop:mail"].outcomes == {"completed": 2}


def test_an_outage_is_seen_while_it_lasts(block, outages):
    counters = Counters(block)
    outages.of("a store").failed(10.0, OSError())
    counters.tell(10.0, outages=outages)
    assert block.away
    assert decode(block.read()).outages == 1
    counters.tell(14.0, outages=outages)
    assert decode(block.read()).outage_seconds == 4.0
    outages.of("a store").worked(15.0)
    counters.tell(15.0, outages=outages)
    assert not block.away
    assert decode(block.read()).outage_seconds == 5.0


def test_tasks_that_have_no_room_go_together_the_least_used_first(block, outages):
    counters = Counters(block)
    for number in range(400):
        for _ in range(number + 1):
            counters.count(work(f"shop.tasks:task_{number}"), outcome(), accepted=True)
    counters.publish(0.0, outages=outages)
    counters.count(work("shop.tasks:task_0"), outcome(), accepted=True)  # it stays with the others
    counters.publish(0.0, outages=outages)
    assert len(block.read()) <= CAPACITY
    tasks = decode(block.read()).tasks["mails"]
    kept = sorted(int(name.rpartition("_")[2]) for name in tasks if name != OTHER)
    assert len(kept) > 50
    assert kept == list(range(400 - len(kept), 400))
    assert tasks[OTHER].outcomes["completed"] == sum(n + 1 for n in range(400 - len(kept))) + 1
    assert sum(tally.runs for tally in tasks.values()) == 400 * 401 // 2 + 1


def test_queues_that_have_no_room_go_together_too(block, outages):
    counters = Counters(block)
    for number in range(200):
        counters.count(work(queue=f"{number}-{'q' * 200}"), outcome(), accepted=True)
    counters.publish(0.0, outages=outages)
    counters.count(work(queue=f"{0}-{'q' * 200}"), outcome(), accepted=True)
    counters.publish(0.0, outages=outages)
    assert decode(block.read()).tasks.keys() == {OTHER}
    assert decode(block.read()).tasks[OTHER][OTHER].outcomes == {"completed": 201}


def test_names_that_anybody_may_make_up_are_no_labels(block, outages):
    counters = Counters(block)
    counters.count(work("made up by a stranger", known=False), outcome(Status.FAILED), accepted=True)
    counters.count(work("odd \ud800"), outcome(), accepted=True)
    counters.publish(0.0, outages=outages)
    assert decode(block.read()).tasks["mails"].keys() == {UNKNOWN, r"odd \ud800"}


# The block


class Ended(Exception):  # a process, as by SIGKILL
    pass


class DyingStruct:
    """Is ended at that store."""

    def __init__(self, real: struct.Struct, dies: list[int]) -> None:
        self._real, self._dies = real, dies
        self.size, self.unpack_from = real.size, real.unpack_from

    def pack_into(self, *args) -> None:
        self._dies[0] -= 1
        if self._dies[0] == 0:
            raise Ended
        self._real.pack_into(*args)


@pytest.mark.parametrize("dies_at", [1, 2])
def test_who_is_killed_while_he_writes_leaves_what_stood_there(block, monkeypatch, dies_at):
    block.write(b"first")
    block.write(b"second")
    dies = [dies_at]
    with monkeypatch.context() as patch:
        for name in ("_SIDE", "_HEAD"):
            patch.setattr(blocks, name, DyingStruct(getattr(blocks, name), dies))
        with pytest.raises(Ended):
            block.write(b"third, and longer")
    assert block.read() == b"second"
    block.write(b"fourth")
    assert block.read() == b"fourth"


@given(bodies=st.lists(st.binary(min_size=1, max_size=CAPACITY), min_size=1, max_size=4), at=st.integers(8, SIZE - 1))
def test_what_is_garbled_is_not_read(bodies, at):
    memory = mmap.mmap(-1, SIZE)
    block = Block(memory)
    for body in bodies:
        block.write(body)
    memory[at] ^= 0xFF
    assert block.read() in (*bodies[-2:], None)


def test_a_block_that_nobody_wrote_says_nothing(block):
    assert block.read() is None
    assert not block.away
    assert decode(block.read()) == Counts()
    assert decode(b"\xc1 no message of ours") == Counts()


def test_counts_of_several_workers_add_up():
    whole, one = Counts(), Counts(outages=1, outage_seconds=2.5)
    one.tally("mails", "shop:mail").outcomes["completed"] = 3
    one.tally("mails", "shop:mail").durations.note(DURATIONS, 0.5)
    for _ in range(2):
        whole.add(one)
    assert whole.tasks["mails"]["shop:mail"].outcomes == {"completed": 6}
    assert whole.tasks["mails"]["shop:mail"].durations.sum == 1.0
    assert (whole.outages, whole.outage_seconds) == (2, 5.0)
    assert one.tasks["mails"]["shop:mail"].outcomes == {"completed": 3}
    assert Histogram.over(DURATIONS).count == 0
