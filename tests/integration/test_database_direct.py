"""Statements that go to the driver directly: what they answer, and what becomes of a connection that fails."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable
from tests.support.servers import end_sessions, new_database

KINDS = ["sqlite", "postgresql", "mariadb"]


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def database(kind, tmp_path):
    url = f"sqlite:///{tmp_path / 'tasks.db'}" if kind == "sqlite" else new_database(kind)
    database = Database(url)
    database.initialize()
    yield database
    database.close()


@pytest.fixture
def put(database: Database) -> sa.Insert:
    return sa.insert(database.tables.meta)


@pytest.fixture
def read(database: Database) -> sa.Select[tuple[str, str]]:
    meta = database.tables.meta.c
    return sa.select(meta.name, meta.value).where(meta.name.like("x%")).where(meta.name != sa.bindparam("but"))


ROWS = [{"name": "x1", "value": "%s ? :a %(b)s '"}, {"name": "x2", "value": "é\\"}]


def test_rows_go_in_and_come_out(database, put, read) -> None:
    with database.begin() as tx:
        assert tx.run(put, ROWS[0]) == 1
        tx.run_each(put, ROWS[1:])
        assert [tuple(row) for row in tx.rows(read, {"but": ""})] == [tuple(row.values()) for row in ROWS]
    assert [tuple(row) for row in database.rows(read, {"but": "x1"})] == [tuple(ROWS[1].values())]


def test_it_is_the_same_inside_of_an_application_s_transaction(database, put, read) -> None:
    engine = sa.create_engine(database.dialect.url.set(drivername=getattr(database.dialect, "scheme", "sqlite")))
    with engine.connect() as connection:
        if database.dialect.one_writer:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.begin()
        with database.join(connection):
            with database.begin() as tx:
                assert tx.run(put, ROWS[0]) == 1
                tx.run_each(put, ROWS[1:])
            assert len(database.rows(read, {"but": ""})) == 2
        connection.rollback()
    engine.dispose()
    assert list(database.rows(read, {"but": ""})) == []


def test_a_mistake_of_a_statement_is_sqlalchemy_s_error_and_spoils_no_connection(database, put, read) -> None:
    with pytest.raises(sa.exc.IntegrityError), database.begin() as tx:
        tx.run(put, ROWS[0])
        tx.run(put, ROWS[0])
    assert list(database.rows(read, {"but": ""})) == []


def test_a_session_that_was_ended_is_an_outage_and_the_next_one_works(kind, database, read) -> None:
    if database.dialect.one_writer:
        pytest.skip("has no sessions")
    with pytest.raises(BrokerUnavailable), database.begin() as tx:
        tx.rows(read, {"but": ""})
        end_sessions(kind, database.dialect.url)
        tx.rows(read, {"but": ""})
    assert list(database.rows(read, {"but": ""})) == []


def test_who_is_interrupted_in_the_middle_leaves_no_half_done_connection(database, put, read) -> None:
    with pytest.raises(KeyboardInterrupt), database.begin() as tx:
        tx.run(put, ROWS[0])
        with tx.driver("what the user interrupts"):
            raise KeyboardInterrupt
    assert list(database.rows(read, {"but": ""})) == []
