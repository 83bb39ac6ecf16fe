"""What the broker on a database promises beyond the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from taskqueue.brokers import rds
from taskqueue.brokers.base import Depth
from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database import incarnations
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable, ConfigurationError, Deposed, TaskQueueError
from taskqueue.message import Message
from taskqueue.plugins import Store
from tests.support.statements import asked


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'tasks.db'}")
    yield database
    database.close()


@pytest.fixture
def broker(database: Database) -> RdsQueueBroker:
    return RdsQueueBroker(database, "mail")


def push(broker: RdsQueueBroker, count: int, **options: Any) -> None:
    broker.push([Message(str(number), b"{}", **options) for number in range(count)])


def register(database: Database, incarnation: str) -> None:
    incarnations.register(
        database, incarnation, slot="host/mail/0", host="host", pid=1, kind="worker", queues=["mail"], lease=60
    )


def test_an_idle_worker_takes_no_write_lock(broker: RdsQueueBroker, tmp_path: Path) -> None:
    impatient = Database(f"sqlite:///{tmp_path / 'tasks.db'}", timeout=0.1)
    idle = RdsQueueBroker(impatient, "mail")
    assert idle.pop(limit=1, lease=60) == []
    with ThreadPoolExecutor() as elsewhere, broker.database.begin():
        for look in (lambda: idle.pop(limit=1, lease=60), lambda: idle.wait(0), idle.recover):
            assert not elsewhere.submit(look).result()
        with pytest.raises(BrokerUnavailable):
            elsewhere.submit(push, idle, 1).result()
    impatient.close()


def test_a_worker_pops_in_the_name_that_it_has_registered(broker: RdsQueueBroker, database: Database) -> None:
    """R1, R2"""
    push(broker, 2)
    broker.owner = "first life"
    register(database, "first life")
    assert len(broker.pop(limit=1, lease=60)) == 1
    incarnations.remove(database, ["first life"])
    with pytest.raises(Deposed, match="first life"):
        broker.pop(limit=1, lease=60)
    broker.owner = "second life"
    with pytest.raises(Deposed, match="second life"):
        broker.pop(limit=1, lease=60)
    register(database, "second life")
    assert [d.id for d in broker.pop(limit=2, lease=60)] == ["1"]


def test_a_handle_pops_in_its_own_name_until_it_is_closed(broker: RdsQueueBroker, database: Database) -> None:
    broker.pop(limit=1, lease=60)
    (known,) = incarnations.alive(database)
    assert (known.id, known.kind, known.queues) == (broker.owner, "handle", ())
    assert incarnations.peers(database, "mail") == 0
    broker.close()
    assert incarnations.alive(database) == []


def test_a_first_pop_that_is_rolled_back_does_not_spoil_the_next(broker: RdsQueueBroker, database: Database) -> None:
    push(broker, 1)

    def step_that_fails() -> None:
        with database.begin():
            broker.pop(limit=1, lease=60)
            raise KeyError

    with pytest.raises(KeyError):
        step_that_fails()
    assert len(broker.pop(limit=1, lease=60)) == 1


def test_who_held_messages_of_several_queues_is_suspected_in_all(broker: RdsQueueBroker, database: Database) -> None:
    """R5: recovering one queue first does not make the other's message its owner's only one."""
    reports = RdsQueueBroker(database, "reports")
    register(database, "worker")
    for queue in (broker, reports):
        queue.owner = "worker"
        push(queue, 1)
        queue.pop(limit=1, lease=60)
    keeper = [RdsQueueBroker(database, queue) for queue in ("mail", "reports")]
    assert [lost.only_one for queue in keeper for lost in queue.recover(["worker"])] == [False, False]
    assert [d.alone for queue in keeper for d in queue.pop(limit=1, lease=60)] == [True, True]


def test_many_messages_take_no_more_statements_than_one(broker: RdsQueueBroker, database: Database) -> None:
    def statements(count: int) -> int:
        with asked() as seen:
            push(broker, count)
            push(broker, count, delay=1e-6)
            held = broker.pop(limit=2 * count, lease=60)
            assert len(held) == 2 * count
            broker.extend(held, lease=60)
            broker.release(held)
            broker.release(broker.pop(limit=2 * count, lease=60), delay=60)
        return len(seen)

    statements(1)  # the first one knows less of the queue's state
    assert 10 < statements(1) == statements(50)


def test_due_messages_are_moved_in_bounded_steps(broker: RdsQueueBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rds, "PROMOTED", 3)
    push(broker, 5, delay=1e-6)
    assert [d.id for d in broker.pop(limit=1, lease=60)] == ["0"]
    assert broker.depth() == Depth(2, 2, 1)
    assert [d.id for d in broker.pop(limit=9, lease=60)] == ["1", "2", "3", "4"]


def test_a_push_in_the_application_s_transaction_stands_or_falls_with_it(
    broker: RdsQueueBroker, database: Database, tmp_path: Path
) -> None:
    """P1"""
    broker.initialize()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'tasks.db'}")
    with engine.connect() as connection:
        with database.join(connection):
            push(broker, 1)
        connection.rollback()
        assert not broker.ready()
        with database.join(connection):
            push(broker, 1)
        connection.commit()
    engine.dispose()
    assert broker.depth() == Depth(1, 0, 0)


def test_a_store_without_a_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs a database"):
        RdsQueueBroker.open(Store(url="sqlite:///x"), "mail")


@pytest.mark.parametrize(
    "ask",
    [
        lambda broker: push(broker, 1),
        lambda broker: broker.pop(limit=1, lease=60),
        lambda broker: broker.wait(0),
        lambda broker: broker.ready(),
        lambda broker: broker.recover(),
        lambda broker: broker.depth(),
        lambda broker: broker.due_in(),
    ],
)
def test_a_damaged_store_is_no_empty_queue(ask: Callable[[RdsQueueBroker], object], tmp_path: Path) -> None:
    """P16"""
    (tmp_path / "tasks.db").write_bytes(b"no database at all" * 1000)
    database = Database(f"sqlite:///{tmp_path / 'tasks.db'}")
    with pytest.raises(TaskQueueError, match=r"tasks\.db: "):
        ask(RdsQueueBroker(database, "mail"))
    database.close()
