"""What is peculiar to MariaDB and MySQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database.engine import Database
from tests.support.carrying import pop, push
from tests.support.own_servers import OwnMariadb, Unreachable
from tests.support.servers import skip_or_fail


@pytest.fixture
def kind() -> str:
    return "mariadb"


@pytest.fixture(scope="module")
def far_away() -> Iterator[Database]:
    """At a server that lives in another time zone, and reads SQL by stricter rules."""
    try:
        server = OwnMariadb("--default-time-zone=+05:30", "--sql-mode=ANSI_QUOTES,STRICT_ALL_TABLES")
    except Unreachable as reason:
        skip_or_fail(str(reason))
    database = Database(server.url)
    database.initialize()
    yield database
    database.close()
    server.close()


def test_clocks_are_the_same_at_a_server_in_another_time_zone(database, far_away):
    """P20"""
    with database.read() as connection, far_away.read() as other:
        assert abs(far_away.dialect.due_now(other) - database.dialect.due_now(connection)) < 60e6


def test_delays_and_leases_hold_at_a_server_in_another_time_zone(far_away):
    """P20"""
    broker, other = (RdsQueueBroker(far_away, "mail") for _ in range(2))
    push(broker, "later", delay=3600)
    push(broker, "now")
    assert 3590 < broker.due_in() <= 3600
    assert pop(broker) == ["now"]
    assert other.recover() == []


def test_queues_whose_names_differ_in_a_letter_s_case_are_two(database):
    push(RdsQueueBroker(database, "mail"), "small")
    push(RdsQueueBroker(database, "Mail"), "capital")
    assert pop(RdsQueueBroker(database, "Mail")) == ["capital"]


def test_a_claim_reads_an_index(database):
    """R15: the order of a claim comes wholly from it."""
    push(RdsQueueBroker(database, "mail"), *(str(number) for number in range(100)))
    question = "EXPLAIN SELECT id FROM taskqueue_message WHERE queue = 'mail' ORDER BY lane, id LIMIT 10 FOR UPDATE"
    with database.read() as connection:
        (step,) = connection.execute(sa.text(question)).mappings()
    assert step["key"] == "PRIMARY"
    assert "filesort" not in (step["Extra"] or "")


def rollbacks(database):
    """Of this session, before this very question's."""
    with database.read() as connection:
        return int(connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Com_rollback'").one()[1])


def test_a_step_that_was_committed_sends_no_rollback(database):
    """It would cost a round trip, and a traceback in the log where the session has ended meanwhile."""
    before = rollbacks(database)
    for _ in range(3):
        with database.begin():
            pass
    assert rollbacks(database) == before + 1


def test_who_fails_to_initialize_leaves_no_lock_behind(database):
    """Else the others would wait for a session that lies idle."""
    with pytest.raises(KeyError), database.begin() as tx:
        database.dialect.prepare(tx, timeout=1)
        raise KeyError
    with database.read() as connection:
        name = f"{database.dialect.url.database}.taskqueue_init"
        assert connection.execute(sa.select(sa.func.is_free_lock(name))).scalar_one() == 1
