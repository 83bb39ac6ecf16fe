"""P1: the application's own transaction is the one that counts."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from taskqueue.database.engine import Database
from taskqueue.errors import ConfigurationError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/queue.db", timeout=0.5)
    yield database
    database.close()


@pytest.fixture
def engine(database: Database) -> Iterator[sa.Engine]:
    """The application's, with all of SQLAlchemy's defaults."""
    database.initialize()
    engine = sa.create_engine(database.name)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    yield engine
    engine.dispose()


def pause(database: Database, name: str) -> None:
    with database.begin() as tx:
        tx.execute(sa.insert(database.tables.queue), {"name": name})
        tx.count(name, "waiting", 1)


def queues(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(database.tables.queue.c.name)).scalars())


def order(connection: sa.Connection) -> None:
    connection.exec_driver_sql("INSERT INTO orders DEFAULT VALUES")


def orders(connection: sa.Connection) -> int:
    return connection.exec_driver_sql("SELECT count(*) FROM orders").scalar_one()


def test_what_the_application_commits_is_stored_and_what_it_rolls_back_is_gone(database, engine):
    for end, stored in (("rollback", []), ("commit", ["mail"])):
        with engine.connect() as connection:
            order(connection)
            with database.join(connection):
                pause(database, "mail")
                assert queues(database) == ["mail"]
            getattr(connection, end)()
        assert queues(database) == stored
        with engine.connect() as connection:
            assert orders(connection) == len(stored)


def test_a_connection_that_has_not_begun_anything_begins(database, engine):
    """Python's driver begins at the first write only; a savepoint before that would commit by itself."""
    with engine.connect() as connection:
        orders(connection)
        with database.join(connection):
            pause(database, "mail")
        connection.rollback()
        with database.join(connection):
            pause(database, "news")
    assert queues(database) == []


def test_transactions_of_an_engine_that_begins_by_itself_are_joined(database):
    engine = sa.create_engine(database.name, connect_args={"isolation_level": None})
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    for name, end in (("mail", "commit"), ("news", "rollback")):
        with engine.connect() as connection, database.join(connection):
            pause(database, name)
            getattr(connection, end)()
    engine.dispose()
    assert queues(database) == ["mail"]


@pytest.mark.parametrize("scoped", [False, True])
def test_sessions_are_joined(database, engine, scoped):
    session = scoped_session(sessionmaker(engine)) if scoped else Session(engine)
    calls = []
    for name, end in (("news", "rollback"), ("mail", "commit")):
        with database.join(session), database.begin() as tx:
            pause(database, name)
            tx.after_commit(lambda: calls.append(in_another_thread(lambda: queues(database))))
        session.execute(sa.text("INSERT INTO orders DEFAULT VALUES"))
        getattr(session, end)()
    assert queues(database) == ["mail"]
    assert calls == [["mail"]]
    (session.remove if scoped else session.close)()


def in_another_thread(step):
    answer = []
    thread = threading.Thread(target=lambda: answer.append(step()))
    thread.start()
    thread.join()
    return answer[0]


def test_asynchronous_connections_and_sessions_are_taken_for_what_they_cover(database, engine):
    with engine.connect() as connection, database.join(SimpleNamespace(sync_connection=connection)):
        pause(database, "mail")
        connection.commit()
    with Session(engine) as session:
        with database.join(SimpleNamespace(sync_session=session)):
            pause(database, "news")
        session.commit()
    assert queues(database) == ["mail", "news"]


def test_callbacks_follow_the_applications_commit(database, engine):
    calls = []
    with engine.connect() as connection:
        for end in ("commit", "rollback", "commit"):
            with database.join(connection), database.begin() as tx:
                pause(database, f"mail {len(calls)} {end}")
                tx.after_commit(lambda: calls.append(in_another_thread(lambda: len(queues(database)))))
            assert connection.in_transaction()
            before = len(calls)
            getattr(connection, end)()
            assert len(calls) == before + (end == "commit"), "at once, though the connection stays open"
        orders(connection)
        connection.commit()
    assert calls == [1, 2]


def test_callbacks_follow_however_the_transaction_is_held(database, engine):
    calls = []

    def step(connection: sa.Connection) -> None:
        with database.join(connection), database.begin() as tx:
            tx.after_commit(lambda: calls.append(1))

    with engine.begin() as connection:
        step(connection)
    assert calls == [1]
    with engine.connect() as connection:
        with connection.begin() as held:
            step(connection)
        assert not held.is_active
        connection.begin()  # the next one is proof that the last is over, though somebody still holds it
        assert calls == [1, 1]


def test_callbacks_of_a_savepoint_that_was_rolled_back_are_dropped(database, engine):
    calls = []
    with engine.connect() as connection:
        for name in ("kept", "dropped", "kept too"):
            savepoint = connection.begin_nested()
            with database.join(connection), database.begin() as tx:
                pause(database, name)
                tx.after_commit(lambda name=name: calls.append(name))
            (savepoint.rollback if name == "dropped" else savepoint.commit)()
        connection.commit()
    assert calls == ["kept", "kept too"]
    assert queues(database) == ["kept", "kept too"]


def test_callbacks_of_a_commit_that_failed_are_dropped(database, engine):
    calls = []
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.exec_driver_sql("CREATE TABLE line (parent INTEGER REFERENCES orders DEFERRABLE INITIALLY DEFERRED)")
        with database.join(connection), database.begin() as tx:
            tx.after_commit(lambda: calls.append(1))
        connection.exec_driver_sql("INSERT INTO line VALUES (99)")
        with pytest.raises(sa.exc.IntegrityError):
            connection.commit()
    assert calls == []


def test_a_step_that_fails_takes_nothing_of_the_applications_with_it(database, engine):
    with engine.connect() as connection:
        order(connection)
        with database.join(connection):
            with pytest.raises(ZeroDivisionError), database.begin():
                pause(database, "mail")
                raise ZeroDivisionError
            pause(database, "news")
        connection.commit()
        assert orders(connection) == 1
    assert queues(database) == ["news"]


def test_a_connection_to_another_database_is_refused(database, tmp_path):
    for url in (f"sqlite:///{tmp_path}/other.db", "sqlite://"):
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            with pytest.raises(ConfigurationError, match=r"leads to sqlite://.*, but the queue is in .*queue.db"):
                database.join(connection).__enter__()
        engine.dispose()


def test_another_name_of_the_same_file_is_the_same_database(database, tmp_path):
    database.initialize()
    (tmp_path / "link.db").symlink_to(tmp_path / "queue.db")
    engine = sa.create_engine(f"sqlite:///{tmp_path}/link.db")
    with engine.connect() as connection, database.join(connection):
        pause(database, "mail")
        connection.commit()
    engine.dispose()
    assert queues(database) == ["mail"]


def test_what_cannot_be_joined_is_refused(database, engine):
    with engine.connect() as connection:
        autocommit = connection.execution_options(isolation_level="AUTOCOMMIT")
        with database.join(autocommit), pytest.raises(ConfigurationError, match="autocommit"):
            pause(database, "mail")
    driver = sqlite3.connect(":memory:")
    with pytest.raises(ConfigurationError, match=r"takes a SQLAlchemy Connection or Session, not Connection"):
        database.join(driver).__enter__()
    driver.close()
    with database.begin(), pytest.raises(ConfigurationError, match="has a transaction open"):
        database.join(object()).__enter__()


def test_joining_twice_is_joining_once(database, engine):
    with engine.connect() as connection, engine.connect() as second, database.join(connection):
        with database.join(connection):
            pause(database, "mail")
        pause(database, "news")
        with pytest.raises(ConfigurationError, match="joined another"):
            database.join(second).__enter__()
        connection.commit()
    assert queues(database) == ["mail", "news"]


def test_other_threads_do_not_join(database, engine):
    database.initialize()
    with engine.connect() as connection, database.join(connection):
        in_another_thread(lambda: pause(database, "mail"))
        connection.rollback()
    assert queues(database) == ["mail"]
