"""What a queue in PostgreSQL promises beyond the contract."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from taskqueue.brokers.base import Depth
from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable, ConfigurationError, SchemaMismatch
from taskqueue.message import Message
from tests.support.servers import administer, new_database, open_in

Open = Callable[..., Database]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def handle(**options):
            database = open_in("postgresql", tmp_path, **options)
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


def end_sessions(url: sa.URL) -> None:
    administer(
        "postgresql", f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{url.database}'"
    )


def test_who_claims_passes_over_what_another_claims_and_takes_it_once_it_is_given_up(broker, opened) -> None:
    other = RdsQueueBroker(opened(), "mail")
    push(broker, *"abcd")
    pop(other, 0)
    with ThreadPoolExecutor() as elsewhere:
        with pytest.raises(KeyError), broker.database.begin():
            assert pop(broker, 2) == ["a", "b"]
            assert elsewhere.submit(pop, other, 1).result(10) == ["c"]
            raise KeyError
    assert pop(other) == ["a", "b", "d"]
    assert broker.depth() == Depth(0, 0, 4)


def test_pushes_and_claims_at_once_lose_and_double_nothing(broker, opened) -> None:
    names = [str(number) for number in range(400)]
    pushed, popped = threading.Event(), []

    def produce(handle, share) -> None:
        for name in share:
            push(handle, name)

    def consume(handle) -> list[str]:
        found = []
        while not (done := pushed.is_set()) or handle.ready():
            found += pop(handle, 7)
            if done and not found:
                break
        return found

    with ThreadPoolExecutor() as pool:
        consumers = [pool.submit(consume, RdsQueueBroker(opened(), "mail")) for _ in range(2)]
        producers = [pool.submit(produce, RdsQueueBroker(opened(), "mail"), names[n::2]) for n in range(2)]
        for producer in producers:
            producer.result(30)
        pushed.set()
        for consumer in consumers:
            popped += consumer.result(30)
    assert sorted(popped, key=int) == names


def test_a_session_that_was_ended_is_replaced_unnoticed(broker, url) -> None:
    push(broker, "a")
    end_sessions(url)
    push(broker, "b")
    assert pop(broker) == ["a", "b"]


def test_a_step_whose_session_is_ended_fails_whole_and_the_next_works(broker, url) -> None:
    with pytest.raises(BrokerUnavailable, match="the server ended the session|the connection broke"):
        with broker.database.begin():
            push(broker, "a")
            end_sessions(url)
            push(broker, "b")
    push(broker, "c")
    assert pop(broker) == ["c"]


def test_who_listens_goes_on_when_the_listening_session_is_ended(broker, url) -> None:
    with broker.database.wakeup.listen("mail"):
        end_sessions(url)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(broker.wait, 20)
        push(broker, "a")
        assert answer.result(10)


@pytest.mark.parametrize("options", [{"listen": False}, {"direct_url": "itself"}])
def test_it_works_where_sessions_are_shared(opened, url, options) -> None:
    if "direct_url" in options:
        options = {"direct_url": url.set(drivername="postgresql").render_as_string(hide_password=False)}
    broker = RdsQueueBroker(opened(**options), "mail")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(broker.wait, 20)
        push(broker, "a")
        assert answer.result(10)
    assert pop(broker) == ["a"]


def test_a_burst_notifies_once_and_joined_transactions_always(broker, database, url) -> None:
    """R10"""
    heard: list[str] = []
    engine = sa.create_engine(url)
    with database.dialect.connect() as listener:
        listener.execute(f'LISTEN "{database.wakeup.channel}"'.encode())
        for name in "abc":
            with engine.begin() as connection, database.join(connection):
                push(broker, name)
        heard += [x.payload for x in listener.notifies(timeout=1, stop_after=3)]
        assert heard == ["mail"] * 3
    engine.dispose()


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


def test_a_connection_elsewhere_or_in_autocommit_is_refused(database, url) -> None:
    other = sa.create_engine(url.set(database="postgres"))
    loose = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with other.connect() as connection, pytest.raises(ConfigurationError, match="but the queue is in"):
        with database.join(connection):
            pass
    with loose.connect() as connection, pytest.raises(ConfigurationError, match="autocommit"):
        with database.join(connection), database.begin():
            pass
    other.dispose()
    loose.dispose()


def test_what_is_locked_for_too_long_is_said(opened, database) -> None:
    impatient = opened(timeout=0.2)
    with database.begin() as tx, ThreadPoolExecutor() as elsewhere:
        tx.execute(sa.text("LOCK TABLE taskqueue_message IN EXCLUSIVE MODE"))
        with pytest.raises(BrokerUnavailable, match="enqueue_timeout"):
            elsewhere.submit(push, RdsQueueBroker(impatient, "mail"), "a").result(20)


def test_tables_are_made_by_init_alone_and_by_several_at_once(database) -> None:
    """P17"""
    url = new_database("postgresql")
    fresh = [Database(url, schema="tasks", prefix="tq_") for _ in range(3)]
    with pytest.raises(SchemaMismatch, match="taskqueue init"), fresh[0].begin():
        pass
    with ThreadPoolExecutor() as pool:
        list(pool.map(Database.initialize, fresh))
    push(RdsQueueBroker(fresh[0], "mail"), "a")
    assert pop(RdsQueueBroker(fresh[1], "mail")) == ["a"]
    with fresh[2].read() as connection:
        assert "tq_message" in sa.inspect(connection).get_table_names(schema="tasks")
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
    database = Database(url.set(password="s3cret", **change).render_as_string(hide_password=False), timeout=2)
    with pytest.raises(kind, match=said) as refused, database.begin():
        pass
    assert "\n" not in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_server_that_only_reads_is_named_so(database) -> None:
    """As a replica does: its error is the same (25006)."""
    database.initialize()
    with pytest.raises(BrokerUnavailable, match="read-only, as a replica is"), database.begin() as tx:
        tx.execute(sa.text("SET TRANSACTION READ ONLY"))
        push(RdsQueueBroker(database, "mail"), "a")


def test_a_claim_reads_an_index(database) -> None:
    with database.begin() as tx:
        tx.execute(sa.text("SET LOCAL enable_seqscan = off"))
        plan = tx.execute(
            sa.text("EXPLAIN SELECT id FROM taskqueue_message WHERE queue = 'mail' ORDER BY lane, id LIMIT 10")
        )
        assert "Sort" not in "\n".join(plan.scalars())
