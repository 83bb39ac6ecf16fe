from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from taskqueue.database import tally
from taskqueue.database.engine import Database, StoreBusy
from taskqueue.errors import BrokerUnavailable, TaskQueueError, TaskTimeout


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/queue.db", timeout=0.5)
    yield database
    database.close()


def pause(database: Database, name: str) -> None:
    with database.begin() as tx:
        tx.execute(sa.insert(database.tables.queue), {"name": name})


def queues(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(database.tables.queue.c.name)).scalars())


def test_a_step_is_committed_at_its_end(database):
    pause(database, "mail")
    with Database(database.name).read() as other:
        assert other.execute(sa.select(database.tables.queue.c.name)).scalars().all() == ["mail"]


def test_a_step_that_raises_leaves_nothing(database):
    with pytest.raises(ZeroDivisionError), database.begin():
        pause(database, "mail")
        raise ZeroDivisionError
    assert queues(database) == []


def test_a_time_limit_in_the_middle_of_a_statement_is_what_its_task_sees(database):
    """P10: the connection is lost with it, and neither the writers' lock nor what was raised is."""

    def interrupt(*_):
        raise TaskTimeout("time is up")

    with pytest.raises(TaskTimeout), database.begin() as tx:
        pause(database, "news")
        sa.event.listen(tx.connection, "before_cursor_execute", interrupt)
        pause(database, "mail")
    pause(database, "mail")
    assert queues(database) == ["mail"]


def test_steps_within_a_step_stand_or_fall_with_it(database):
    with database.begin() as outer:
        with database.begin() as inner:
            assert inner is outer
        pause(database, "mail")
        assert queues(database) == ["mail"], "what was written is read within the step"
    with pytest.raises(TaskQueueError, match="rolled back"), database.begin():
        pause(database, "news")
        with pytest.raises(ZeroDivisionError), database.begin():
            raise ZeroDivisionError
    assert queues(database) == ["mail"]


def test_what_is_not_committed_is_not_seen_by_others(database):
    seen = []
    with database.begin():
        pause(database, "mail")
        reader = threading.Thread(target=lambda: seen.extend(queues(database)))
        reader.start()
        reader.join()
    assert seen == []


def test_counts_are_written_once_with_their_step(database):
    with database.begin() as tx:
        tx.count("mail", "waiting", 2)
        with database.begin() as inner:
            inner.count("mail", "waiting", 3)
            inner.count("mail", "leased", 1)
            inner.count("mail", "leased", -1)
    with pytest.raises(ZeroDivisionError), database.begin() as tx:
        tx.count("mail", "waiting", 100)
        raise ZeroDivisionError
    with database.read() as connection:
        rows = connection.execute(sa.select(database.tables.tally)).all()
    assert [row[1:] for row in rows] == [("mail", "waiting", 5)]


def test_callbacks_follow_the_outermost_commit(database):
    calls = []
    with database.begin() as tx:
        with database.begin() as inner:
            # A callback may begin a step of its own.
            inner.after_commit(lambda: pause(database, "news"))
        tx.after_commit(lambda: calls.append(queues(database)))
        pause(database, "mail")
        assert calls == []
    assert calls == [["mail", "news"]]
    with pytest.raises(ZeroDivisionError), database.begin() as tx:
        tx.after_commit(lambda: calls.append("never"))
        raise ZeroDivisionError
    assert len(calls) == 1


def test_message_ids_are_consecutive_and_given_once(database):
    with database.begin() as tx:
        first = database.dialect.reserve_ids(tx, 3)
        assert database.dialect.reserve_ids(tx, 1) == first + 3
    given: list[int] = []

    def take() -> None:
        for _ in range(20):
            with database.begin() as tx:
                given.append(database.dialect.reserve_ids(tx, 2))

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(first + 4, first + 4 + 240, 2))


def test_a_list_of_any_length_is_one_parameter(database):
    names = sa.select(sa.func.count()).where(database.dialect.ids_in(database.tables.queue.c.name, "names"))
    with database.begin() as tx:
        tx.execute(sa.insert(database.tables.queue), [{"name": f"q'{n}\u00e9"} for n in range(40)])
        assert tx.execute(names, {"names": [f"q'{n}\u00e9" for n in range(20, 50_000)]}).scalar() == 20
        assert tx.execute(names, {"names": []}).scalar() == 0
        plan = tx.execute(sa.text(f"EXPLAIN QUERY PLAN {names}"), {"names": "[]"}).all()
    assert "SEARCH taskqueue_queue USING" in str(plan), "found by key, not by a scan"


def test_rows_that_exist_are_passed_over(database):
    insert = database.dialect.insert_new(database.tables.queue)
    with database.begin() as tx:
        assert tx.execute(insert, {"name": "mail", "paused_by": "ann"}).rowcount == 1
        assert tx.execute(insert, {"name": "mail", "paused_by": "bob"}).rowcount == 0
        assert tx.execute(sa.select(database.tables.queue.c.paused_by)).scalars().all() == ["ann"]


def test_a_turn_is_repeated_when_another_writer_was_in_the_way(database):
    attempts = []

    def step() -> str:
        attempts.append(len(attempts))
        if len(attempts) < 3:
            raise StoreBusy("busy")
        return "done"

    assert database.turn(step) == "done"
    assert len(attempts) == 3


def test_a_turn_within_a_step_leaves_the_repeating_to_the_whole(database):
    attempts = []

    def step() -> None:
        attempts.append(1)
        raise StoreBusy("busy")

    with pytest.raises(StoreBusy), database.begin():
        database.turn(step)
    assert len(attempts) == 1


def test_a_writer_that_knows_nothing_of_us_is_waited_for_and_then_named(database, tmp_path):
    """P1: a store that hangs raises after the time-out."""
    database.initialize()
    stranger = sqlite3.connect(tmp_path / "queue.db", isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(BrokerUnavailable, match=r"locked for 0.5 s by another thread of this process"):
        database.turn(lambda: pause(database, "mail"))
    stranger.execute("COMMIT")
    stranger.close()
    pause(database, "mail")
    assert queues(database) == ["mail"]


def test_folding_keeps_every_sum(database):
    for n in range(30):
        with database.begin() as tx:
            tx.count("mail", "waiting", 1)
            tx.count("news", "waiting", 2 if n % 2 else -2)
    before = tally.sums(database)
    assert before == {("mail", "waiting"): 30, ("news", "waiting"): 0}
    assert tally.fold(database, limit=20) == 19
    while tally.fold(database):
        pass
    assert tally.sums(database) == {("mail", "waiting"): 30}
    assert tally.sums(database, "mail") == {("mail", "waiting"): 30}
    assert tally.fold(database) == 0
