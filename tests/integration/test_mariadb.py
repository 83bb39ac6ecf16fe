"""What a queue in MariaDB or MySQL promises beyond the contract."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable, ConfigurationError, SchemaMismatch
from taskqueue.message import Message
from tests.support.servers import new_database, open_in


@pytest.fixture
def opened(tmp_path: Path) -> Iterator:
    with ExitStack() as stack:

        def handle(**options):
            database = open_in("mariadb", tmp_path, **options)
            stack.callback(database.close)
            return database

        yield handle


@pytest.fixture
def database(opened) -> Database:
    return opened()


@pytest.fixture
def broker(database) -> RdsQueueBroker:
    return RdsQueueBroker(database, "mail")


@pytest.fixture
def url(database) -> sa.URL:
    return database.dialect.url


def push(broker, *ids, **options) -> None:
    broker.push([Message(name, b"{}", **options) for name in ids])


def pop(broker, limit=100) -> list[str]:
    return [delivery.id for delivery in broker.pop(limit=limit, lease=60)]


def test_who_claims_passes_over_what_another_claims(broker, opened) -> None:
    other = RdsQueueBroker(opened(), "mail")
    push(broker, *"abcd")
    pop(other, 0)
    with ThreadPoolExecutor() as elsewhere:
        with pytest.raises(KeyError), broker.database.begin():
            assert pop(broker, 2) == ["a", "b"]
            assert elsewhere.submit(pop, other, 1).result(10) == ["c"]
            raise KeyError
    assert pop(other) == ["a", "b", "d"]


def test_a_session_that_was_ended_is_replaced_unnoticed(broker, database) -> None:
    push(broker, "a")
    with database.read() as connection:
        number = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
        with ThreadPoolExecutor() as elsewhere:
            elsewhere.submit(_end, database, number).result(10)
        assert number
        connection.invalidate()
    push(broker, "b")
    assert pop(broker) == ["a", "b"]


def _end(database, number) -> None:
    with database.read() as connection:
        connection.exec_driver_sql(f"KILL {number}")


def test_an_enqueue_joins_the_applications_transaction(broker, database, url) -> None:
    """P1"""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        with database.join(connection):
            push(broker, "undone")
        connection.rollback()
        assert pop(broker) == []
        with database.join(connection):
            push(broker, "done")
        connection.commit()
    assert pop(broker) == ["done"]
    engine.dispose()


def test_clocks_do_not_depend_on_the_sessions_time_zone(database) -> None:
    """P20"""
    with database.read() as connection:
        before = database.dialect.due_now(connection)
        connection.exec_driver_sql("SET time_zone = '+09:00'")
        assert 0 <= database.dialect.due_now(connection) - before < 60e6
        connection.invalidate()


def test_tables_are_made_by_init_alone_and_by_several_at_once(database) -> None:
    """P17"""
    url = new_database("mariadb")
    fresh = [Database(url, prefix="tq_") for _ in range(3)]
    with pytest.raises(SchemaMismatch, match="taskqueue init"), fresh[0].begin():
        pass
    with ThreadPoolExecutor() as pool:
        list(pool.map(Database.initialize, fresh))
    push(RdsQueueBroker(fresh[0], "mail"), "a")
    assert pop(RdsQueueBroker(fresh[1], "mail")) == ["a"]
    for one in fresh:
        one.close()


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"port": 1}, BrokerUnavailable, "does not answer; is the server running"),
        ({"database": "nowhere"}, ConfigurationError, "no such database; create it"),
        ({"username": "nobody_at_all"}, ConfigurationError, "check user and password"),
    ],
)
def test_what_cannot_be_reached_is_said_in_one_line(url, change, kind, said) -> None:
    """P19"""
    password = "s3cret" if "username" in change else url.password
    database = Database(url.set(password=password, **change).render_as_string(hide_password=False), timeout=2)
    with pytest.raises(kind, match=said) as refused, database.begin():
        pass
    assert "\n" not in str(refused.value)
    assert "s3cret" not in str(refused.value)
