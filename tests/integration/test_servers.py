"""What a queue at a database server promises beyond the contract: to several, under failures, inside transactions."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from taskqueue.brokers.base import Depth
from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable, ConfigurationError, SchemaMismatch
from taskqueue.status import Status
from taskqueue.tasklog.entry import Entry
from taskqueue.tasklog.rds import RdsTaskLogBroker
from tests.support.carrying import pop, push
from tests.support.servers import end_sessions, new_database


def test_who_claims_passes_over_what_another_claims_and_takes_it_once_it_is_given_up(broker, opened):
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


def test_pushes_and_claims_at_once_lose_and_double_nothing(broker, opened):
    names = [str(number) for number in range(400)]
    pushed, popped = threading.Event(), []

    def produce(handle, share):
        for name in share:
            push(handle, name)

    def consume(handle):
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


def test_a_session_that_was_ended_is_replaced_unnoticed(broker, kind, url):
    push(broker, "a")
    assert end_sessions(kind, url) >= 1
    push(broker, "b")
    assert pop(broker) == ["a", "b"]


def test_a_step_whose_session_is_ended_fails_whole_and_the_next_works(broker, kind, url):
    with pytest.raises(BrokerUnavailable, match="the server ended the session|the connection broke"):
        with broker.database.begin():
            push(broker, "a")
            end_sessions(kind, url)
            push(broker, "b")
    push(broker, "c")
    assert pop(broker) == ["c"]


def test_a_task_that_two_store_at_the_same_moment_is_new_to_one_of_them(database, opened):
    """P1: idempotent by its id, and counted once."""
    entry = Entry(id="01a20d66-9c4e-79b0-a999-7597f2e3b444", name="a:b", queue="mail", created_at=1, payload=b"{}")
    first, second = RdsTaskLogBroker(database), RdsTaskLogBroker(opened())
    second.stats()
    with ThreadPoolExecutor() as elsewhere:
        with database.begin():
            assert first.add([entry]) == [entry.id]
            answer = elsewhere.submit(second.add, [entry])
            with pytest.raises(TimeoutError):
                answer.result(0.3)  # it waits for what becomes of ours
        assert answer.result(10) == []
    assert first.stats() == {"mail": {Status.ENQUEUED: 1}}


def test_an_enqueue_joins_the_applications_transaction(broker, database, url):
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


def test_a_connection_elsewhere_or_in_autocommit_is_refused(database, kind, url):
    other = sa.create_engine(url.set(database={"postgresql": "postgres", "mariadb": "mysql"}[kind]))
    loose = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with other.connect() as connection, pytest.raises(ConfigurationError, match="but the queue is in"):
        with database.join(connection):
            pass
    with loose.connect() as connection, pytest.raises(ConfigurationError, match="autocommit"):
        with database.join(connection), database.begin():
            pass
    other.dispose()
    loose.dispose()


def test_clocks_do_not_depend_on_the_session_s_time_zone(database, kind):
    """P20"""
    elsewhere = {"postgresql": "SET TIME ZONE '+09:00'", "mariadb": "SET time_zone = '+09:00'"}[kind]
    with database.read() as connection:
        before = database.dialect.due_now(connection)
        connection.exec_driver_sql(elsewhere)
        assert 0 <= database.dialect.due_now(connection) - before < 60e6
        connection.invalidate()


def test_what_is_locked_for_too_long_is_said(opened, broker):
    push(broker, "a")
    impatient = RdsQueueBroker(opened(timeout=1), "mail", owner=broker.owner)
    (delivery,) = broker.pop(limit=1, lease=60)
    with broker.database.begin(), ThreadPoolExecutor() as elsewhere:
        broker.extend([delivery], lease=60)
        with pytest.raises(BrokerUnavailable, match="enqueue_timeout"):
            elsewhere.submit(impatient.ack, [delivery]).result(20)


def test_tables_are_made_by_init_alone_and_by_several_at_once(kind):
    """P17"""
    url = new_database(kind)
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
    ("change", "refusal", "said"),
    [
        ({"port": 1}, BrokerUnavailable, "does not answer; is the server running"),
        ({"database": "nowhere"}, ConfigurationError, "no such database; create it"),
        ({"username": "nobody_at_all"}, ConfigurationError, "check user and password"),
    ],
)
def test_what_cannot_be_reached_is_said_in_one_line(url, change, refusal, said):
    """P19"""
    password = "s3cret" if "username" in change else url.password
    database = Database(url.set(password=password, **change).render_as_string(hide_password=False), timeout=2)
    with pytest.raises(refusal, match=said) as refused, database.begin():
        pass
    assert "\n" not in str(refused.value)
    assert "s3cret" not in str(refused.value)
