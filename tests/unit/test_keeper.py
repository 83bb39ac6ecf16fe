"""The keeper's duties (P1, P3, P4): what is done when, and what becomes of it while a store is away."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskqueue import keeper as module
from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database import incarnations
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable
from taskqueue.keeper import AMNESTY, Keeper
from taskqueue.message import Lost, Message
from taskqueue.queue import Held, Limits, Queue
from taskqueue.status import Status
from taskqueue.tasklog.entry import Cause
from taskqueue.tasklog.rds import RdsTaskLogBroker
from taskqueue.worker.presence import FoundDead, Presence, find_dead
from tests.support.clock import FakeClock
from tests.support.task_logs import Story

DAY = 86400.0


class FakeLog:
    """Its purges go on in batches; what it is asked is kept."""

    def __init__(self) -> None:
        self.purges: list[tuple[Status, int]] = []
        self.batches: dict[Status, list[int | BrokerUnavailable]] = {}

    def purge(self, *, status: Status, before: int, limit: int) -> Iterator[int]:
        self.purges.append((status, before))
        while batches := self.batches.get(status, []):
            batch = batches.pop(0)
            if isinstance(batch, BrokerUnavailable):
                raise batch
            yield batch


class FakeQueue:
    """Says what it was asked to do, in order; while its store is away it raises."""

    database: Database | None = None

    def __init__(self, name: str = "mail", task_log: FakeLog | None = None, *, lease: float = 120.0) -> None:
        self.name = name
        self.limits = Limits(lease=lease)
        self.task_log = task_log or FakeLog()
        self.calls: list[tuple[Any, ...]] = []
        self.away = False
        self.on_recover: Callable[[], None] = lambda: None

    def recover(self, dead: Any = (), *, running: Any = None, log: Any = None, excused: bool = False) -> list[Lost]:
        self._call("recover", list(dead), running, excused)
        self.on_recover()
        return []

    def relay(self, *, older_than: float) -> int:
        self._call("relay", older_than)
        return 0

    def _call(self, *call: Any) -> None:
        if self.away:
            raise BrokerUnavailable(f"{self.name} is away")
        self.calls.append(call)

    def told(self) -> list[tuple[Any, ...]]:
        calls, self.calls = self.calls, []
        return calls


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    (tmp_path / "queue.db").touch()
    return tmp_path / "queue.db"


def kill_a_worker(stem: Path, incarnation: str = "it", **card: Any) -> None:
    """Leave behind what a worker leaves that was killed when its scorecard said that."""
    if not (pid := os.fork()):
        try:
            Presence(stem, incarnation, slot="h:1").scorecard.update(**card)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def test_duties_are_done_as_often_as_they_are_due(clock, queue, monkeypatch):
    done: list[tuple[str, object]] = []
    monkeypatch.setattr(module.tally, "fold_all", lambda database: done.append(("fold", database)))
    monkeypatch.setattr(module.incarnations, "strike_off", lambda database: done.append(("strike off", database)))
    tidied: list[tuple[str, object]] = []
    for what, table in (("settle", module.orders), ("forget", module.orders), ("forget", module.hosts)):
        monkeypatch.setattr(table, what, lambda database, what=what: tidied.append((what, database)))
    keeper = Keeper([queue], clock, registers=["one", "two"], retention={Status.FAILED: DAY})
    for _ in range(120):
        keeper.step()
        keeper.step()
        clock.advance(1)
    calls = queue.told()
    assert calls.count(("recover", [], None, False)) == 120
    assert calls.count(("relay", 2.0)) == 120
    assert done == [(what, name) for what in ("fold", "strike off") for name in ("one", "two")] * 12
    assert len(queue.task_log.purges) == 2
    assert tidied == [(what, name) for what in ("settle", "forget", "forget") for name in ("one", "two")] * 2


def test_a_queue_in_one_store_has_nothing_to_relay(clock, queue):
    queue.database = object()
    Keeper([queue], clock).step()
    assert queue.told() == [("recover", [], None, False)]


# The dead


def test_what_the_dead_held_is_given_back_before_they_are_buried(clock, queue, stem):
    """A keeper that dies in between has hidden nothing."""
    there: list[bool] = []
    queue.on_recover = lambda: there.append(stem.with_name("queue.db-worker-it").exists())
    kill_a_worker(stem)
    Keeper([queue], clock, deaths=[FoundDead(stem, clock.monotonic)]).bury_the_dead()
    assert queue.told() == [("recover", ["it"], {}, False)]
    assert there == [True]
    assert dict(find_dead(stem)) == {}


def test_nobody_is_buried_whose_tasks_could_not_all_be_given_back(clock, stem):
    first, second = FakeQueue("first"), FakeQueue("second")
    keeper = Keeper([first, second], clock, deaths=[FoundDead(stem, clock.monotonic)])
    kill_a_worker(stem, "a", task_id="t")
    kill_a_worker(stem, "b")
    first.away = True
    with pytest.raises(BrokerUnavailable, match="first is away"):
        keeper.step()
    assert [call[1] for call in second.told() if call[0] == "recover"] == [["a"], ["b"], []]
    assert set(dict(find_dead(stem))) == {"a", "b"}
    first.away = False
    keeper.step()
    assert [call[1] for call in first.told() if call[0] == "recover"] == [["a"], ["b"], []]
    assert dict(find_dead(stem)) == {}


@pytest.mark.parametrize(
    ("card", "running"),
    [
        ({"task_id": "t"}, {"t": "the worker died while it ran the task (worker h:1)"}),
        ({"task_id": "t", "leaving": True}, {}),
        ({"task_id": ""}, {}),
        (
            {"task_id": "t", "deadline": 1.0},
            {"t": "the worker was ended: the task did not yield at its time limit (worker h:1)"},
        ),
        ({"task_id": "t", "deadline": 1e12}, {"t": "the worker died while it ran the task (worker h:1)"}),
    ],
    ids=["running", "told to leave", "idle", "over its time limit", "within its time limit"],
)
def test_a_death_is_the_running_task_s_unless_its_worker_was_told_to_go(clock, queue, stem, card, running):
    kill_a_worker(stem, **card)
    Keeper([queue], clock, deaths=[FoundDead(stem, clock.monotonic)]).bury_the_dead()
    assert queue.told() == [("recover", ["it"], running, False)]


def test_of_a_torn_scorecard_nobody_can_tell(clock, queue, stem):
    stem.with_name("queue.db-worker-it").touch()
    Keeper([queue], clock, deaths=[FoundDead(stem, clock.monotonic)]).bury_the_dead()
    assert queue.told() == [("recover", ["it"], None, False)]


def test_a_death_is_one_line_and_an_ordered_one_is_none(clock, queue, stem, caplog):
    kill_a_worker(stem, "a", task_id="t7")
    kill_a_worker(stem, "b", leaving=True)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            Keeper([queue], clock, deaths=[FoundDead(stem, clock.monotonic)]).bury_the_dead()
    assert [record.getMessage() for record in caplog.records] == ["worker h:1 died while it ran task t7"]


# Stores that are away


def test_a_store_that_is_away_delays_no_other(clock):
    """P14, P16: the others' duties are done; that one is away is told."""
    first, second = FakeQueue("first"), FakeQueue("second")
    keeper = Keeper([first, second], clock, retention={Status.FAILED: DAY})
    first.away = True
    with pytest.raises(BrokerUnavailable, match="first is away"):
        keeper.step()
    assert second.told() == [("recover", [], None, False), ("relay", 2.0)]
    assert len(second.task_log.purges) == 1


def test_what_could_not_be_done_is_done_at_the_next_step(clock, queue):
    keeper = Keeper([queue], clock)
    queue.away = True
    with pytest.raises(BrokerUnavailable):
        keeper.step()
    queue.away = False
    keeper.step()
    assert queue.told() == [("recover", [], None, False), ("relay", 2.0)]
    keeper.step()
    assert queue.told() == [], "and not sooner again than usual"


def test_leases_that_ended_in_an_outage_are_excused_in_that_store_only(clock):
    """P4: leases lost through an outage never count."""
    first, second = FakeQueue("first"), FakeQueue("second")
    keeper = Keeper([first, second], clock)
    keeper.step()
    first.away = True
    for _ in range(int(AMNESTY) + 1):
        clock.advance(1)
        with pytest.raises(BrokerUnavailable):
            keeper.step()
    first.away = False
    first.told(), second.told()
    keeper.step()
    assert ("recover", [], None, True) in first.told()
    assert ("recover", [], None, True) not in second.told()
    clock.advance(1)
    keeper.step()
    assert ("recover", [], None, False) in first.told()


def test_a_worker_that_died_in_an_outage_is_excused(clock, queue, stem):
    """P4: a lease that ended while the store was away takes its worker with it (R3), and that is no task's fault."""
    keeper = Keeper([queue], clock, deaths=[FoundDead(stem, clock.monotonic)])
    keeper.step()
    kill_a_worker(stem, task_id="task")
    queue.away = True
    for _ in range(int(AMNESTY) + 1):
        clock.advance(1)
        with pytest.raises(BrokerUnavailable):
            keeper.step()
    queue.away = False
    queue.told()
    keeper.step()
    (bury, *_) = queue.told()
    assert (bury[1], bury[3]) == (["it"], True)


def test_an_outage_as_long_as_a_short_lease_is_excused(clock):
    queue = FakeQueue(lease=3.0)
    keeper = Keeper([queue], clock)
    keeper.step()
    queue.told()
    clock.advance(2.5)
    keeper.step()
    assert ("recover", [], None, True) in queue.told()
    clock.advance(1)
    keeper.step()
    assert ("recover", [], None, False) in queue.told()


# Purging


def test_ended_entries_are_purged_by_their_status_s_retention(clock, queue):
    kept = {Status.COMPLETED: DAY, Status.FAILED: 30 * DAY}
    # Two queues with one task log: it is purged once.
    Keeper([queue, FakeQueue("news", queue.task_log)], clock, retention=kept).step()
    now = clock.micros()
    assert queue.task_log.purges == [
        (Status.COMPLETED, now - 86400_000_000),
        (Status.FAILED, now - 30 * 86400_000_000),
    ]


def test_a_purge_is_one_batch_a_second_and_keeps_its_place(clock, queue):
    log = queue.task_log
    log.batches = {Status.COMPLETED: [500, 500, 0], Status.FAILED: [3]}
    keeper = Keeper([queue], clock, retention={Status.COMPLETED: DAY, Status.FAILED: DAY})
    left = []
    for _ in range(5):
        keeper.step()
        left.append(sum(map(len, log.batches.values())))
        clock.advance(1)
    assert left == [3, 2, 1, 0, 0]
    assert len(log.purges) == 2, "nothing was begun anew"
    clock.advance(60)
    keeper.step()
    assert len(log.purges) == 4


def test_a_purge_that_was_cut_short_by_an_outage_goes_on_at_the_next_step(clock, queue):
    queue.task_log.batches = {Status.COMPLETED: [500, BrokerUnavailable("away"), 500, 7], Status.FAILED: [3]}
    keeper = Keeper([queue], clock, retention={Status.COMPLETED: DAY, Status.FAILED: DAY})
    keeper.step()
    clock.advance(1)
    with pytest.raises(BrokerUnavailable, match="away"):
        keeper.step()
    for _ in range(3):
        keeper.step()
        clock.advance(1)
    assert queue.task_log.batches == {Status.COMPLETED: [], Status.FAILED: []}


# On a real store


@pytest.fixture
def real(tmp_path: Path, clock: FakeClock) -> Iterator[Queue]:
    database = Database(f"sqlite:///{tmp_path}/queue.db", clock=clock)
    queue = Queue(
        RdsQueueBroker(database, "mail", owner="it", clock=clock),
        RdsTaskLogBroker(database, clock=clock),
        database=database,
        clock=clock,
    )
    queue.initialize()
    yield queue
    database.close()


def held(queue: Queue, clock: FakeClock, *, lease: float = 120) -> Held:
    """A task that the worker `it` has begun."""
    database = queue.database
    incarnations.register(database, "it", slot="h:1", host="h", pid=1, kind="worker", queues=["mail"], lease=lease)
    entry = Story(queue.task_log, clock).entry()
    queue.enqueue([(entry, Message(entry.id, b"{}"))])
    (one,) = queue.turn([], limit=1, lease=lease, worker="h:1").held
    assert queue.task_log.start(entry.id, fence=one.claim.fence, attempt=1, at=clock.micros())
    return one


@pytest.mark.parametrize(("leaving", "crashes"), [(False, 1), (True, 0)])
def test_a_task_of_a_dead_worker_waits_again_and_an_ordered_death_is_no_crash(real, clock, stem, leaving, crashes):
    one = held(real, clock)
    kill_a_worker(stem, task_id=one.claim.id, fence=one.claim.fence, leaving=leaving)
    Keeper([real], clock, deaths=[FoundDead(stem, clock.monotonic)]).step()
    entry = real.task_log.get(one.claim.id)
    assert (entry.status, entry.crashes) == (Status.ENQUEUED, crashes)
    assert real.broker.depth().waiting == 1
    assert [attempt.cause for attempt in real.task_log.attempts(entry.id)] == [
        Cause.CRASH if crashes else Cause.LEASE_LOST
    ]
    assert incarnations.alive(real.database) == []
    assert real.extend([one], lease=60) == set(), "the dead hold nothing"


def test_a_lease_that_ended_is_given_back(real, clock):
    one = held(real, clock, lease=-1)
    Keeper([real], clock).step()
    assert real.task_log.get(one.claim.id).status is Status.ENQUEUED
    assert real.broker.depth().leased == 0


def test_entries_past_their_retention_are_deleted_batch_by_batch(real, clock, monkeypatch):
    monkeypatch.setattr(module, "PURGE_BATCH", 2)
    story = Story(real.task_log, clock)
    for status in [Status.COMPLETED] * 5 + [Status.FAILED]:
        story.run(story.add(), status, finished_at=clock.micros())
    clock.advance(2 * DAY)
    story.run(young := story.add(), finished_at=clock.micros())
    keeper = Keeper([real], clock, retention={Status.COMPLETED: DAY})
    left = []
    for _ in range(4):
        keeper.step()
        left.append(real.task_log.stats()["mail"][Status.COMPLETED])
        clock.advance(1)
    assert left == [4, 2, 1, 1]
    assert real.task_log.stats()["mail"][Status.FAILED] == 1
    assert story.status(young) is Status.COMPLETED
