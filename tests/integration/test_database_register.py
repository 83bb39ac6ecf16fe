"""R1, R2, P6: the register under several writers; counts that nobody has to count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database import incarnations, pauses, tally
from taskqueue.database.engine import Database
from taskqueue.errors import Deposed
from taskqueue.message import Message
from taskqueue.status import Status
from taskqueue.tasklog.rds import RdsTaskLogBroker
from tests.support.clock import FakeClock
from tests.support.statements import asked
from tests.support.task_logs import Story


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path, clock: FakeClock) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/queue.db", clock=clock)
    yield database
    database.close()


def register(database: Database, name: str, *, lease: float = 120) -> None:
    incarnations.register(database, name, slot=name, host="h", pid=1, kind="worker", queues=["mail"], lease=lease)


def at_once(*steps: Callable[[], object]) -> None:
    """Run these in threads of their own; an error in any is raised."""
    barrier = threading.Barrier(len(steps))

    def run(step: Callable[[], object]) -> object:
        barrier.wait()
        return step()

    with ThreadPoolExecutor(len(steps)) as threads:
        list(threads.map(run, steps))


# Incarnations


def test_workers_that_register_at_once_are_all_there_and_oldest_first(database, clock):
    at_once(*(lambda name=f"w{n}": register(database, name) for n in range(8)))
    clock.advance(1)
    register(database, "a")
    assert [worker.id for worker in incarnations.alive(database)] == [f"w{n}" for n in range(8)] + ["a"]


def test_a_wall_clock_that_is_set_ends_no_worker_s_life(database, clock):
    """P20."""
    register(database, "a", lease=30)
    for seconds in (10 * 365 * 86400, -20 * 365 * 86400):
        clock.advance(seconds)
        assert incarnations.expired(database) == []
        assert 20 < incarnations.alive(database)[0].lease <= 30


def test_who_was_removed_is_not_revived_by_its_renewal(database):
    """R1: a renewal that crosses the removal says False, and leaves no row behind."""
    register(database, "a")
    register(database, "b")
    at_once(
        lambda: incarnations.remove(database, ["a"]),
        *[lambda: incarnations.renew(database, "a", lease=600)] * 3,
    )
    assert not incarnations.renew(database, "a", lease=600)
    assert [worker.id for worker in incarnations.alive(database)] == ["b"]


def test_a_claim_and_a_removal_at_once_leave_nothing_in_dead_hands(database):
    """R1: the claim came first and is given back, or it is refused."""
    broker = RdsQueueBroker(database, "mail", owner="dead")
    keeper = RdsQueueBroker(database, "mail", owner="keeper")
    for number in range(20):
        register(database, "dead")
        broker.push([Message(f"m{number}", b"")])
        refused = []

        def claim(refused: list[str] = refused) -> None:
            try:
                broker.pop(limit=1, lease=600)
            except Deposed as error:
                refused.append(str(error))

        at_once(claim, lambda: keeper.recover(["dead"]))
        assert broker.depth().leased == 0
        assert broker.depth().waiting == number + 1


def test_a_claim_and_a_striking_off_at_once_leave_nothing_in_dead_hands(database):
    """R1: who claims first holds something and stays, or it is refused."""
    broker = RdsQueueBroker(database, "mail", owner="late")
    for number in range(20):
        register(database, "late", lease=-1)
        broker.push([Message(f"m{number}", b"")])
        said: list[object] = []

        def claim(said: list[object] = said) -> None:
            try:
                said += broker.pop(limit=1, lease=600)
            except Deposed as error:
                said.append(error)

        at_once(claim, lambda: incarnations.strike_off(database))
        (held,) = said
        assert incarnations.expired(database) == ([] if isinstance(held, Deposed) else ["late"])
        assert broker.depth().leased == len(incarnations.expired(database))
        broker.recover(["late"])


# Pauses


def test_a_queue_is_paused_until_it_is_resumed_and_the_first_word_stands(database, clock):
    paused_at = clock.micros()
    assert pauses.pause(database, "mail", by="ann")
    clock.advance(60)
    assert not pauses.pause(database, "mail", by="bob")
    assert pauses.pause(database, "news/ü", by="x" * 300)
    assert incarnations.paused_queues(database) == {"mail", "news/ü"} == set(pauses.paused(database))
    assert pauses.paused(database)["mail"] == pauses.Pause("mail", paused_at, "ann")
    assert pauses.resume(database, "mail")
    assert not pauses.resume(database, "mail")
    assert not pauses.resume(database, "never was")
    assert incarnations.paused_queues(database) == {"news/ü"}


def test_of_many_who_pause_a_queue_at_once_one_did(database):
    said: list[bool] = []
    at_once(*[lambda: said.append(pauses.pause(database, "mail", by="ann"))] * 4)
    assert sorted(said) == [False, False, False, True]


# Counts


def rows(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(database.tables.tally)).scalar_one()


def test_folding_changes_no_sum_while_others_write_and_read(database):
    read: list[int] = []

    def write() -> None:
        for _ in range(60):
            with database.begin() as tx:
                tx.count("mail", "waiting", 2)
                tx.count("mail", "leased", -1)

    def fold() -> None:
        for _ in range(30):
            tally.fold(database, limit=7)

    def watch() -> None:
        for _ in range(60):
            sums = tally.sums(database, "mail")
            read.append(sums.get(("mail", "waiting"), 0))
            # Both were written in one step, so that no reader sees one without the other.
            assert sums.get(("mail", "waiting"), 0) == -2 * sums.get(("mail", "leased"), 0)

    at_once(write, write, fold, fold, watch)
    assert read == sorted(read)
    whole = {("mail", "waiting"): 240, ("mail", "leased"): -120}
    assert tally.sums(database) == whole
    while tally.fold(database):
        pass
    assert tally.sums(database) == whole
    assert rows(database) == 2


def test_folding_goes_on_where_there_are_more_keys_than_it_takes_at_once(database):
    for number in range(30):
        with database.begin() as tx:
            tx.count(f"q{number % 10}", "waiting", 1)
    while tally.fold(database, limit=5):
        pass
    assert tally.sums(database) == {(f"q{number}", "waiting"): 3 for number in range(10)}
    assert rows(database) == 10


def test_a_round_of_folding_catches_up_with_busy_queues(database):
    for _ in range(100):
        with database.begin() as tx:
            tx.count("mail", "waiting", 1)
    tally.fold_all(database, limit=10)
    assert rows(database) < 10
    assert tally.sums(database) == {("mail", "waiting"): 100}


def test_counting_reads_counts_and_neither_messages_nor_entries(database, clock):
    broker, log = RdsQueueBroker(database, "mail", clock=clock), RdsTaskLogBroker(database, clock=clock)
    broker.push([Message("a", b""), Message("b", b"", delay=60), Message("c", b"")])
    broker.pop(limit=1, lease=60)
    story = Story(log, clock)
    story.run(story.add())
    story.run(story.add(queue="news"), Status.FAILED, queue="news")
    story.add()
    with asked() as read:
        depth, stats = broker.depth(), log.stats()
    assert (depth.waiting, depth.delayed, depth.leased) == (1, 1, 1)
    counted = {queue: {status: n for status, n in found.items() if n} for queue, found in stats.items()}
    assert counted == {"mail": {Status.COMPLETED: 1, Status.ENQUEUED: 1}, "news": {Status.FAILED: 1}}
    assert read != []
    others = [table.name for table in database.tables.metadata.sorted_tables if table.name != "taskqueue_tally"]
    assert [text for text in read if any(name in text for name in others)] == []
