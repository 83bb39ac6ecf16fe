"""What a queue in PostgreSQL promises beyond the contract."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import psycopg
import pytest
import sqlalchemy as sa

from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database import notify
from taskqueue.database.dialects import Failure
from taskqueue.database.engine import Database
from taskqueue.database.postgresql_errors import diagnose
from taskqueue.errors import BrokerUnavailable
from tests.support.carrying import pop, push
from tests.support.servers import end_sessions, new_database


@pytest.fixture
def kind() -> str:
    return "postgresql"


def test_who_listens_goes_on_when_the_listening_session_is_ended(broker, url) -> None:
    with broker.database.wakeup.listen("mail"):
        end_sessions("postgresql", url)
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


def test_joined_transactions_always_notify(broker, database, url) -> None:
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


def test_a_burst_notifies_at_its_beginning_and_now_and_then(broker, database, monkeypatch) -> None:
    """R10: what comes now and then is told at once, each time."""
    now = 100.0
    monkeypatch.setattr(notify, "time", SimpleNamespace(monotonic=lambda: now))
    with database.dialect.connect() as listener:
        listener.execute(f'LISTEN "{database.wakeup.channel}"'.encode())

        def heard(pushes: int) -> int:
            for number in range(pushes):
                push(broker, f"{now} {number}")
            listener.execute("SELECT 1")
            return len(list(listener.notifies(timeout=0)))

        assert heard(50) == notify.SAVED
        now += 1.01 * notify.BURST
        assert heard(50) == 1
        for _ in range(20):
            now += 2 * notify.BURST
            assert heard(1) == 1


def test_tables_may_stand_in_a_schema_of_their_own() -> None:
    fresh = Database(new_database("postgresql"), schema="tasks", prefix="tq_")
    fresh.initialize()
    push(RdsQueueBroker(fresh, "mail"), "a")
    assert pop(RdsQueueBroker(fresh, "mail")) == ["a"]
    with fresh.read() as connection:
        assert "tq_message" in sa.inspect(connection).get_table_names(schema="tasks")
    fresh.close()


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


@pytest.mark.parametrize("doing", ["starting up", "shutting down", "in recovery mode"])
def test_a_server_that_is_not_ready_yet_is_no_wrong_configuration(doing) -> None:
    """P15: a worker that starts beside it waits."""
    refused = psycopg.OperationalError(f'connection to "db" failed: FATAL:  the database system is {doing}')
    found = diagnose(refused)
    assert found.failure is Failure.UNAVAILABLE
    assert "is starting; try again" in found.text
