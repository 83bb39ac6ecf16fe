"""All that differs between databases, behind one class.

SQL stands in the brokers and the task log, once; where a database needs its own words they come from here.
"""

from __future__ import annotations

import abc
import enum
import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from taskqueue.clock import Clock
from taskqueue.database.schema import Tables
from taskqueue.database.transaction import Transaction
from taskqueue.database.wakeup import Wakeup
from taskqueue.errors import ConfigurationError, did_you_mean
from taskqueue.masking import mask_url

NO_OPTIONS: Mapping[str, Any] = {}


class Failure(enum.Enum):
    """What kind of trouble an error of a database is."""

    #: another writer is in the way, or a deadlock was broken: the whole turn may be repeated
    BUSY = "busy"
    #: the store does not answer, is full, read-only, damaged: later, or never, but not by our doing
    UNAVAILABLE = "unavailable"
    #: our tables were there and are not any more
    UNPREPARED = "unprepared"
    #: what the URL names can never be our database
    MISCONFIGURED = "misconfigured"
    #: a statement of ours is wrong, or breaks a constraint: no matter of availability
    OURS = "ours"


class Diagnosis(msgspec.Struct, frozen=True):
    """An error of a database, understood: its kind, and one line that says what it is and what to do."""

    failure: Failure
    text: str = ""


class Dialect(abc.ABC):
    """What one kind of database does in its own way. One object a `Database`; safe in threads."""

    #: SQLAlchemy's names of this kind
    names: tuple[str, ...]
    #: the schema is created and upgraded at first use; elsewhere `taskqueue init` does it
    initializes_itself = False
    #: one transaction writes at a time: what it has read stays as it is until it ends
    one_writer = False
    #: an INSERT may return what a DELETE of the same statement took out
    moves_in_one = False
    #: an UPDATE or DELETE may return the rows that it changed
    returns_changes = False
    #: `insert_new` counts only the rows that it stored
    counts_new = True
    #: statements that define tables commit by themselves, so that an earlier init may have come half way
    commits_tables = False
    #: largest body of a message in bytes
    max_body = 16 * 1024 * 1024
    #: rows that are gone are read over as long as any transaction might see them
    keeps_dead_rows = False
    #: where a row lies, which stays true as long as it is locked
    place: sa.ColumnElement[Any] | None = None
    #: the id of one new message as a part of a statement, where a single one may write to several tables and is given
    #: up by the server as our transactions are
    new_id: sa.ColumnElement[int] | None = None
    #: the clock that leases are judged by, as a part of such a statement
    now: sa.ColumnElement[int] | None = None
    #: how producers wake idle workers
    wakeup: Wakeup
    #: the database's file, where it is one of this host; files beside it may prove who is alive
    path: str | None = None

    def __init__(
        self, url: sa.URL, tables: Tables, *, timeout: float, clock: Clock, options: Mapping[str, Any] = NO_OPTIONS
    ) -> None:
        self.url, self.tables, self.timeout, self.clock, self.options = url, tables, timeout, clock, options
        self._update_of_one = cache(_update_of_one)

    @abc.abstractmethod
    def create_engine(self) -> sa.Engine:
        """A new engine, for the process that calls. Opens nothing."""

    @abc.abstractmethod
    def begin(self, connection: sa.Connection, *, timeout: float) -> None:
        """Begin a write transaction on a connection of `create_engine`; closing that lets go of all that it holds."""

    @abc.abstractmethod
    def enter(self, connection: sa.Connection) -> None:
        """See to it that an application's connection is in a transaction that its owner has to commit."""

    @abc.abstractmethod
    def same_database(self, connection: sa.Connection) -> bool:
        """Whether this connection of an application leads to our database."""

    @abc.abstractmethod
    def lease_now(self, connection: sa.Connection) -> int:
        """The clock that leases are judged by (P20): microseconds from some fixed point."""

    def due_now(self, connection: sa.Connection) -> int:
        """The clock that delays are judged by (P20): microseconds from some fixed point. The same, if there is one."""
        return self.lease_now(connection)

    def clocks(self, connection: sa.Connection) -> tuple[int, int]:
        """Both, that of leases first."""
        return self.lease_now(connection), self.due_now(connection)

    @abc.abstractmethod
    def reserve_ids(self, transaction: Transaction, n: int) -> int:
        """The first of `n` consecutive message ids, larger than all before; none is ever given out twice."""

    @abc.abstractmethod
    def ids_in(self, column: sa.ColumnElement[Any], bind: str) -> sa.ColumnElement[bool]:
        """`column` is one of the list that is passed as parameter `bind`: one statement whatever the length."""

    @abc.abstractmethod
    def insert_new(self, table: sa.Table) -> sa.Insert:
        """An INSERT that passes over rows whose key exists."""

    def insert_rows(self, transaction: Transaction, statement: sa.Insert, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert these rows, which have the same columns, as an INSERT without values says; how many were stored.

        `insert_new`'s may raise IntegrityError for many rows where it would pass over one.
        """
        return transaction.run(statement, rows[0]) if len(rows) == 1 else transaction.run_each(statement, rows)

    def text_of(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        """A column of bytes that are UTF-8, as text."""
        return sa.cast(column, sa.Text)

    def be_patient(self, connection: sa.Connection) -> None:  # noqa: B027  only servers give up on a statement
        """What is read by this connection until it is given back may take long, as a search through a long log."""

    def create_reader(self) -> sa.Engine:
        """A new engine to look by: whoever looks creates nothing, whatever is there."""
        return self.create_engine()

    @contextmanager
    def reader(self) -> Iterator[sa.Connection]:
        """A connection of that engine, which is closed with it."""
        engine = self.create_reader()
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def prepare(self, transaction: Transaction, *, timeout: float) -> None:  # noqa: B027  most need not
        """Before tables are created or upgraded in this transaction: hold off others who want the same.

        No lock is waited for longer than `timeout` seconds: whoever comes after would wait behind us.
        """

    def preparation(self, *, timeout: float) -> list[str]:
        """The same as statements that are run by hand."""
        return []

    @abc.abstractmethod
    def diagnose(self, error: BaseException) -> Diagnosis:
        """Understand an error of the driver, or of the system when connecting."""

    def ends_session(self, error: BaseException) -> bool:
        """Whether this error of the driver ends the session, though SQLAlchemy would go on with it."""
        return False

    def update_rows(self, transaction: Transaction, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Set the columns of many rows, each to its own values; all name the same ones, and `of` the row's key."""
        transaction.run_each(self._update_of_one(table), rows)

    def is_stale(self, connection: sa.Connection) -> bool:
        """At a process' first use: whether an earlier life of the host left something to settle."""
        return False

    def revive(self, transaction: Transaction) -> None:  # noqa: B027  nothing is stale
        """Settle that. Several processes may do it at once."""


def _update_of_one(table: sa.Table) -> sa.Update:
    """The columns to set are those of its parameters."""
    (key,) = table.primary_key
    return sa.update(table).where(key == sa.bindparam("of"))


def parse_url(url: str) -> sa.URL:
    """A database's URL; ConfigurationError if it is none."""
    try:
        return sa.make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            f"{mask_url(url)!r} is no database URL; write e.g. sqlite:///var/taskqueue.db"
        ) from None


def kind_of(url: sa.URL) -> str:
    """What SQLAlchemy calls options of that URL's kind of database by."""
    name = url.get_backend_name()
    return "mysql" if name == "mariadb" else name


def open_dialect(
    url: sa.URL, tables: Tables, *, timeout: float, clock: Clock, options: Mapping[str, Any] = NO_OPTIONS
) -> Dialect:
    """The dialect of that URL. Raises ConfigurationError if there is none."""
    name = url.get_backend_name()
    if name not in _NAMES:
        hint = did_you_mean(name, _NAMES) or f"; known: {', '.join(_NAMES)}"
        raise ConfigurationError(f"{url.render_as_string()}: no database of ours is called {name!r}{hint}")
    return _class_of(name)(url, tables, timeout=timeout, clock=clock, options=options)


_NAMES = ("sqlite", "postgresql", "mysql", "mariadb")


def _class_of(name: str) -> type[Dialect]:
    # They import this module; and each brings SQLAlchemy's own for it, which takes time and memory.
    match name:
        case "sqlite":
            from taskqueue.database.sqlite import SqliteDialect

            return SqliteDialect
        case "postgresql":
            from taskqueue.database.postgresql import PostgresqlDialect

            return PostgresqlDialect
        case _:
            from taskqueue.database.mysql import MysqlDialect

            return MysqlDialect


def driver(module: str, *, extra: str, url: sa.URL) -> Any:
    """A database's driver, or ConfigurationError that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{url.render_as_string()}: its driver {module} is missing ({error}); "
            f"pip install 'taskqueue-supervisor[{extra}]'"
        ) from error
