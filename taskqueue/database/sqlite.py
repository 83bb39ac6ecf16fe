"""SQLite: one file, one host, one writer at a time (R13)."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import InvalidatePoolError, OperationalError

from taskqueue.clock import Clock
from taskqueue.database.boot import Boot, due_clock, lease_clock
from taskqueue.database.dialects import NO_OPTIONS, Diagnosis, Dialect, Failure
from taskqueue.database.filelock import FileLock
from taskqueue.database.schema import Tables
from taskqueue.database.sidefile import create_database
from taskqueue.database.sqlite_errors import diagnose, diagnose_os, locked
from taskqueue.database.transaction import Transaction
from taskqueue.database.wakeup import FifoWakeup
from taskqueue.errors import BrokerUnavailable, ConfigurationError


class JsonList(sa.TypeDecorator[Any]):
    """A list, sent as one JSON text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """The text; None stays NULL."""
        return None if value is None else msgspec.json.encode(list(value)).decode()


class SqliteDialect(Dialect):
    """One file. Its writers take turns by `FileLock`; idle workers listen at FIFOs beside it."""

    names = ("sqlite",)
    initializes_itself = True
    one_writer = True
    returns_changes = True

    def __init__(
        self, url: sa.URL, tables: Tables, *, timeout: float, clock: Clock, options: Mapping[str, Any] = NO_OPTIONS
    ) -> None:
        super().__init__(url, tables, timeout=timeout, clock=clock, options=options)
        if url.get_driver_name() not in ("pysqlite", ""):
            raise ConfigurationError(f"{url}: use Python's own driver, sqlite:///{url.database}")
        if url.query or not url.database or url.database == ":memory:":
            raise ConfigurationError(f"{url}: name a file, sqlite:///path/to/file (or use memory://)")
        # Absolute, since the process may change its working directory.
        self.file = Path(url.database).resolve()
        self.path: str = str(self.file)
        self._opened = False
        self.boot = Boot(tables, clock)
        self.wakeup = FifoWakeup(self.path)
        meta = tables.meta.c
        self._reserve = (
            sa.update(tables.meta)
            .where(meta.name == "message_id")
            .values(value=sa.cast(meta.value, sa.BigInteger) + sa.bindparam("n"))
            .returning(sa.cast(meta.value, sa.BigInteger))
        )

    # Connections

    def create_engine(self) -> sa.Engine:
        engine = sa.create_engine(
            self.url.set(database=self.path),
            # No implicit BEGIN: transactions are ours to begin.
            connect_args={"isolation_level": None, "timeout": self.timeout},
            poolclass=sa.QueuePool,
            pool_size=16,
            max_overflow=-1,
            pool_use_lifo=True,
        )
        sa.event.listen(engine, "do_connect", lambda *_: self._create())
        sa.event.listen(engine, "connect", self._connected)
        sa.event.listen(engine, "checkout", self._checked_out)
        sa.event.listen(engine, "checkin", _returned)
        sa.event.listen(engine, "close", _closed)
        return engine

    def create_reader(self) -> sa.Engine:
        there = self.file.exists()
        return sa.create_engine(f"sqlite:///file:{self.path}?mode=ro&uri=true" if there else "sqlite://")

    def _create(self) -> None:
        with _as_driver_error():
            create_database(self.path, again=self._opened)

    def _connected(self, raw: sqlite3.Connection, record: sa.pool.ConnectionPoolEntry) -> None:
        record.info["file"] = _identity(self.file)
        try:
            # Reads the file's head: nothing is put beside a file that is no database.
            journal = raw.execute("PRAGMA journal_mode").fetchone()
            raw.execute("PRAGMA synchronous = FULL")
            with _as_driver_error():
                record.info["lock"] = FileLock(self.path)
            if journal != ("wal",):
                self._log_ahead(raw, record.info["lock"])
            self._opened = True
        except BaseException:
            raw.close()
            _closed(raw, record)
            raise

    def _log_ahead(self, raw: sqlite3.Connection, lock: FileLock) -> None:
        self._take(lock, self.timeout)
        if raw.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise BrokerUnavailable(f"{self.url}: cannot use write-ahead logging; is it on a network drive?")
        lock.release()

    def _checked_out(self, raw: sqlite3.Connection, record: sa.pool.ConnectionPoolEntry, _: object) -> None:
        # SQLite would go on with a file that was deleted or replaced, and what it wrote there would be lost.
        if _identity(self.file) != record.info["file"]:
            raise InvalidatePoolError

    # Transactions

    def begin(self, connection: sa.Connection, *, timeout: float) -> None:
        started = time.monotonic()
        self._take(connection.info["lock"], timeout)
        left = max(0.0, timeout - (time.monotonic() - started))
        raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # pysqlite's
        # For writers that know nothing of our lock: the application's own.
        raw.execute(f"PRAGMA busy_timeout = {left * 1000:.0f}")
        with _as_driver_error():
            # By the driver itself: it takes half the time.
            raw.execute("BEGIN IMMEDIATE")
        connection.begin()

    def _take(self, lock: FileLock, timeout: float) -> None:
        with _as_driver_error():
            acquired = lock.acquire(timeout)
        if not acquired:
            raise BrokerUnavailable(f"{self.url}: {locked(timeout, f'{self.path}-turn', f'{self.path}-lock')}")

    def enter(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection
        if raw.driver_connection.in_transaction:
            return
        if raw.dbapi_connection.isolation_level is None or getattr(raw.driver_connection, "autocommit", -1) is True:
            raise ConfigurationError(f"{self.url}: the connection given is in autocommit mode: nothing to join")
        # Until its first write Python's driver has not begun anything, and a savepoint would commit by itself.
        with _as_driver_error():
            lock = FileLock(self.path)
        try:
            self._take(lock, self.timeout)
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        finally:
            lock.close()

    def same_database(self, connection: sa.Connection) -> bool:
        if connection.dialect.name != "sqlite":
            return False
        main = connection.exec_driver_sql("PRAGMA database_list").first()
        return main is not None and bool(main[2]) and Path(main[2]).samefile(self.path)

    # Clocks and statements

    def lease_now(self, connection: sa.Connection) -> int:
        return lease_clock()

    def due_now(self, connection: sa.Connection) -> int:
        return due_clock()

    def is_stale(self, connection: sa.Connection) -> bool:
        return self.boot.is_new(connection)

    def revive(self, transaction: Transaction) -> None:
        self.boot.begin(transaction)

    def reserve_ids(self, transaction: Transaction, n: int) -> int:
        ((last,),) = transaction.rows(self._reserve, {"n": n})
        return int(last) - n + 1

    def ids_in(self, column: sa.ColumnElement[Any], bind: str) -> sa.ColumnElement[bool]:
        each = sa.func.json_each(sa.bindparam(bind, type_=JsonList)).table_valued("value")
        return column.in_(sa.select(each.c.value))

    def insert_new(self, table: sa.Table) -> sa.Insert:
        return sqlite.insert(table).on_conflict_do_nothing()

    # Errors

    def diagnose(self, error: BaseException) -> Diagnosis:
        if isinstance(error, OSError):
            return diagnose_os(error, self.path)
        found = diagnose(error, self.path) if isinstance(error, sqlite3.Error) else Diagnosis(Failure.OURS)
        if found.failure is Failure.BUSY:
            # Our own turn has come: whoever is in the way holds SQLite's lock, in its shared memory.
            return Diagnosis(Failure.BUSY, locked(self.timeout, f"{self.path}-shm"))
        return found


@contextmanager
def _as_driver_error() -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise OperationalError(None, None, error) from error


def _identity(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _returned(_: object, record: sa.pool.ConnectionPoolEntry) -> None:
    # After the pool's rollback, however the transaction ended. A connection that was interrupted, as by a time limit
    # raised in the middle of a statement, has been closed already, and its lock with it.
    if lock := record.info.get("lock"):
        lock.release()


def _closed(_: object, record: sa.pool.ConnectionPoolEntry) -> None:
    if lock := record.info.pop("lock", None):
        lock.close()
