"""Database servers to test with: one that a variable names, else one of our own, else the test is skipped or fails.

A process makes one database a kind, which its tests share and find empty, and drops it at its end.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from taskqueue.database.engine import Database
from taskqueue.database.schema import Tables
from tests.support.eventually import eventually
from tests.support.own_servers import OwnMariadb, OwnPostgresql, OwnServer, Unreachable


def skip_or_fail(reason: str) -> None:
    """An absent service skips its tests, and fails them where nothing may be absent."""
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@cache
def postgresql_server() -> str:
    """The URL of a server's own database."""
    return os.environ.get("TASKQUEUE_TEST_POSTGRESQL") or _own(OwnPostgresql)


@cache
def mariadb_server() -> str:
    """The URL of the server, whatever its databases."""
    if named := os.environ.get("TASKQUEUE_TEST_MYSQL"):
        return named
    usual = "mysql://root@127.0.0.1:3306"
    return usual if _lets_in(usual) else _own(OwnMariadb)


def _own(kind: type[OwnServer]) -> str:
    server = kind()
    atexit.register(server.close)
    return server.url


def _lets_in(url: str) -> bool:
    engine = sa.create_engine(sa.make_url(url).set(drivername=_DRIVERS["mariadb"]))
    try:
        engine.connect().close()
    except sa.exc.OperationalError:
        return False
    finally:
        engine.dispose()
    return True


SERVERS: dict[str, Callable[[], str]] = {"postgresql": postgresql_server, "mariadb": mariadb_server}
_DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}


def administer(kind: str, *statements: str, database: str | None = None) -> None:
    """Run statements of an administrator, each by itself."""
    url = sa.make_url(SERVERS[kind]()).set(drivername=_DRIVERS[kind])
    engine = sa.create_engine(url.set(database=database) if database else url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def ask(kind: str, question: str) -> list[Any]:
    """An administrator's question; the first column of its answer."""
    engine = sa.create_engine(sa.make_url(SERVERS[kind]()).set(drivername=_DRIVERS[kind]))
    try:
        with engine.connect() as connection:
            return list(connection.exec_driver_sql(question).scalars())
    finally:
        engine.dispose()


def end_sessions(kind: str, url: str | sa.URL) -> int:
    """End all sessions at that database, as an administrator does, and wait until they have ended; how many."""
    name = sa.make_url(url).database
    if kind == "postgresql":
        return len(ask(kind, f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"))
    numbers = ask(kind, f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
    for number in numbers:
        with contextlib.suppress(sa.exc.OperationalError):  # it has ended by itself
            administer(kind, f"KILL {number}")
    left = f"SELECT id FROM information_schema.processlist WHERE id IN ({', '.join(map(str, [0, *numbers]))})"
    eventually(lambda: not ask(kind, left), what="the end of the sessions")
    return len(numbers)


def new_database(kind: str) -> str:
    """The URL of a new and empty database, which is dropped when this process ends."""
    name = f"taskqueue_test_{uuid4().hex[:12]}"
    try:
        administer(kind, f"CREATE DATABASE {name}")
    except sa.exc.OperationalError as error:
        raise Unreachable(f"no {kind} server: {error.orig}") from error
    atexit.register(_drop, kind, name)
    url = sa.make_url(SERVERS[kind]()).set(drivername=_DRIVERS[kind], database=name)
    return url.render_as_string(hide_password=False)


def _drop(kind: str, name: str) -> None:
    force = " WITH (FORCE)" if kind == "postgresql" else ""
    administer(kind, f"DROP DATABASE IF EXISTS {name}{force}")


@cache
def _shared(kind: str) -> str:
    url = new_database(kind)
    database = Database(url)
    database.initialize()
    database.close()
    return url


def server_database(kind: str) -> str:
    """The URL of this process' database, its tables there and empty."""
    try:
        url = _shared(kind)
    except Unreachable as reason:
        skip_or_fail(str(reason))
    database = Database(url)
    try:
        empty(database)
    finally:
        database.close()
    return url


def empty(database: Database) -> None:
    """Forget all but the facts of the store."""
    tables: Tables = database.tables
    with database.begin() as transaction:
        for table in tables.metadata.sorted_tables:
            if table is not tables.meta:
                transaction.execute(sa.delete(table))


def in_folder(kind: str, folder: Path) -> str:
    """The database that stands for that folder, in whichever process."""
    note = folder / f"{kind}.url"
    if not note.exists():
        note.write_text(server_database(kind))
    return note.read_text()


def open_in(kind: str, folder: Path, **options: Any) -> Database:
    """A handle of its own on it."""
    return Database(in_folder(kind, folder), **options)
