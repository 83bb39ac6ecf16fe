"""Where claims begin to read in PostgreSQL, which keeps what is gone (R9)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from taskqueue.brokers.mark import SWEEP
from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database.engine import Database
from taskqueue.message import Message
from tests.support.clock import FakeClock
from tests.support.statements import asked

NAMES = [f"{n:02}" for n in range(30)]


@pytest.fixture
def kind() -> str:
    return "postgresql"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def worker(database: Database, clock: FakeClock) -> RdsQueueBroker:
    worker = RdsQueueBroker(database, "mail", clock=clock)
    worker.push([Message(name, b"{}") for name in NAMES])
    return worker


def popped(worker: RdsQueueBroker, limit: int = 5) -> list[str]:
    return [delivery.id for delivery in worker.pop(limit=limit, lease=60)]


def test_a_scan_begins_where_the_last_one_ended(worker) -> None:
    assert popped(worker) == NAMES[:5]
    with asked() as seen:
        assert popped(worker) == NAMES[5:10]
    (scan,) = [said for said in seen if "SKIP LOCKED" in said and "FROM taskqueue_message" in said]
    assert "taskqueue_message.id > " in scan


def test_what_another_one_has_let_go_is_found_a_second_later(worker, database, clock) -> None:
    table = database.tables.message
    with database.read() as connection, connection.begin():
        connection.exec_driver_sql("BEGIN")
        held = sa.select(table.c.id).order_by(table.c.id).limit(3).with_for_update()
        assert len(connection.execute(held).all()) == 3
        assert popped(worker) == NAMES[3:8]
    assert popped(worker) == NAMES[8:13]
    clock.advance(SWEEP)
    assert popped(worker) == [*NAMES[:3], *NAMES[13:15]]


def test_what_is_left_of_the_mark_is_found_where_the_rest_is_too_little(worker, database) -> None:
    table = database.tables.message
    with database.read() as connection, connection.begin():
        connection.exec_driver_sql("BEGIN")
        connection.execute(sa.select(table.c.id).order_by(table.c.id).limit(3).with_for_update()).all()
        assert popped(worker, 25) == NAMES[3:28]
    assert popped(worker, 25) == [*NAMES[:3], *NAMES[28:]]


@pytest.mark.parametrize("urgent", [Message("urgent", b"{}", priority=0), Message("new", b"{}", priority=9)])
def test_order_goes_before_the_mark(worker, urgent) -> None:
    assert popped(worker) == NAMES[:5]
    worker.push([urgent])
    first = popped(worker)
    assert first == (["urgent", *NAMES[5:9]] if urgent.priority == 0 else NAMES[5:10])


def test_what_comes_back_comes_first(worker) -> None:
    taken = worker.pop(limit=5, lease=60)
    worker.release(taken[1:3])
    assert popped(worker) == [*NAMES[1:3], *NAMES[5:8]]
    assert popped(worker) == NAMES[8:13]


def test_a_claim_that_is_rolled_back_moves_no_mark(worker, database) -> None:
    assert popped(worker) == NAMES[:5]
    with pytest.raises(ZeroDivisionError), database.begin():
        assert popped(worker) == NAMES[5:10]
        raise ZeroDivisionError
    assert popped(worker) == NAMES[5:10]
