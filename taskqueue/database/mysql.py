"""MariaDB 10.6 and newer, MySQL 8: READ COMMITTED; a row that another transaction holds is passed over.

Nobody can be woken here: idle workers look ever so often. All text is compared by its bytes, and the session's time
zone is never asked. Statements that define tables commit by themselves.
"""

from __future__ import annotations

import re
import select
import weakref
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import InvalidatePoolError

from taskqueue.clock import Clock
from taskqueue.database.dialects import NO_OPTIONS, Diagnosis, Dialect, driver
from taskqueue.database.failures import StoreBusy
from taskqueue.database.mysql_errors import diagnose, is_replica
from taskqueue.database.schema import Tables
from taskqueue.database.transaction import Transaction
from taskqueue.database.wakeup import PolledWakeup
from taskqueue.errors import ConfigurationError

#: the oldest versions that pass over locked rows
OLDEST = {"MariaDB": (10, 6), "MySQL": (8, 0)}
#: ids in one step of the table of numbers: as many messages as one call may push
BLOCK = 1 << 20
_DRIVERS = ("mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql")


class MysqlDialect(Dialect):
    """A server."""

    names = ("mysql", "mariadb")
    counts_new = False
    commits_tables = True
    #: a statement has to fit into the server's max_allowed_packet, 16 MB as MariaDB comes, with its bytes escaped
    max_body = 4 * 1024 * 1024

    def __init__(
        self, url: sa.URL, tables: Tables, *, timeout: float, clock: Clock, options: Mapping[str, Any] = NO_OPTIONS
    ) -> None:
        super().__init__(url, tables, timeout=timeout, clock=clock, options=options)
        if url.drivername not in _DRIVERS:
            raise ConfigurationError(f"{url.render_as_string()}: use PyMySQL, mysql+pymysql://...")
        driver("pymysql", extra="mysql", url=url)
        self.wakeup = PolledWakeup()
        self._url = url.set(drivername="mysql+pymysql")
        self._number = sa.table(f"{tables.prefix}number", sa.column("id", sa.BigInteger))
        self._known: weakref.WeakSet[sa.Engine] = weakref.WeakSet()

    # Connections

    def create_engine(self) -> sa.Engine:
        wait = max(1, round(self.timeout))
        engine = sa.create_engine(
            self._url,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "charset": "utf8mb4",
                "connect_timeout": wait,
                # Longer than a lock is waited for: the server's own answer says more.
                "read_timeout": wait + 5,
                "write_timeout": wait + 5,
            },
            pool_size=5,
            max_overflow=-1,
            pool_use_lifo=True,
        )
        sa.event.listen(engine, "connect", self._connected)
        sa.event.listen(engine, "checkout", _checked_out)
        sa.event.listen(engine, "handle_error", _failed)
        return engine

    def _connected(self, raw: Any, _: object) -> None:
        self._refuse_old(raw.get_server_info())
        with raw.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {_whole(self.timeout)}")
            # Of tables, as somebody who changes them holds them.
            cursor.execute(f"SET SESSION lock_wait_timeout = {_whole(self.timeout)}")

    def _refuse_old(self, version: str) -> None:
        kind = "MariaDB" if "mariadb" in version.lower() else "MySQL"
        # MariaDB puts 5.5.5- before its own version, for clients of old.
        found = re.match(r"(\d+)\.(\d+)", version.removeprefix("5.5.5-"))
        if found and (int(found[1]), int(found[2])) < OLDEST[kind]:
            needed = ".".join(map(str, OLDEST[kind]))
            raise ConfigurationError(
                f"{self.url.render_as_string()}: {kind} {version} is too old; upgrade the server to {needed} or newer"
            )

    # Transactions

    def begin(self, connection: sa.Connection, *, timeout: float) -> None:
        connection.begin()
        connection.exec_driver_sql("START TRANSACTION READ WRITE")

    def enter(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        if raw.get_autocommit():
            raise ConfigurationError(
                f"{self.url.render_as_string()}: the connection given is in autocommit mode: nothing to join"
            )

    def same_database(self, connection: sa.Connection) -> bool:
        if connection.dialect.name not in self.names or connection.dialect.driver != "pymysql":
            return False
        if connection.engine not in self._known:
            engine = self.create_engine()
            with engine.connect() as own:
                ours = own.exec_driver_sql(_WHICH).one()
            engine.dispose()
            if tuple(connection.exec_driver_sql(_WHICH).one()) != tuple(ours):
                return False
            self._known.add(connection.engine)
        return True

    def prepare(self, transaction: Transaction, *, timeout: float) -> None:
        connection, name = transaction.connection, f"{self.url.database}.{self.tables.prefix}init"[:64]
        raw: Any = connection.connection.driver_connection
        connection.info[_PREPARING] = True
        patience, raw._read_timeout = raw._read_timeout, None  # noqa: SLF001  an index on a long table takes its time
        for statement in self.preparation(timeout=timeout):
            connection.exec_driver_sql(statement)
        if not connection.execute(sa.select(sa.func.get_lock(name, _whole(timeout)))).scalar():
            raise StoreBusy(f"{self.url.render_as_string()}: another `taskqueue init` has been at work for too long")

        def release() -> None:
            # What follows the tables' creation, the version, must be there before another one looks.
            connection.exec_driver_sql("COMMIT")
            connection.execute(sa.select(sa.func.release_lock(name)))
            connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {_whole(self.timeout)}")
            raw._read_timeout = patience  # noqa: SLF001  as it was
            del connection.info[_PREPARING]

        transaction.before_commit("release the lock", release)

    def preparation(self, *, timeout: float) -> list[str]:
        return [f"SET SESSION lock_wait_timeout = {_whole(timeout)}"]

    # Clocks and statements

    def lease_now(self, connection: sa.Connection) -> int:
        now: int = connection.exec_driver_sql(_NOW).scalar_one()
        return now

    def due_now(self, connection: sa.Connection) -> int:
        return self.lease_now(connection)

    def reserve_ids(self, transaction: Transaction, n: int) -> int:
        # A counter in a row would make all writers wait for each other; this one is counted on even by a rollback.
        if n > BLOCK:
            raise ValueError(f"{n:,} messages at once; push at most {BLOCK:,}")
        number = transaction.execute(sa.insert(self._number), {"id": None}).lastrowid
        transaction.execute(sa.delete(self._number).where(self._number.c.id == number))
        return int(number) * BLOCK

    def ids_in(self, column: sa.ColumnElement[Any], bind: str) -> sa.ColumnElement[bool]:
        return column.in_(sa.bindparam(bind, expanding=True))

    def insert_new(self, table: sa.Table) -> sa.Insert:
        # INSERT IGNORE would swallow other errors too.
        key = next(iter(table.primary_key))
        return mysql.insert(table).on_duplicate_key_update({key.name: key})

    def diagnose(self, error: BaseException) -> Diagnosis:
        return diagnose(error)


_PREPARING = "preparing"
_WHICH = "SELECT DATABASE(), @@hostname, @@port, @@datadir"
_NOW = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))"


def _whole(timeout: float) -> int:
    return max(1, round(timeout))


def _checked_out(raw: Any, record: sa.pool.ConnectionPoolEntry, _: object) -> None:
    if record.info.get(_PREPARING):
        raise InvalidatePoolError  # an init failed in this session, which still holds its lock
    # A server that has ended this session has said so: something waits to be read where nothing was asked for.
    poll = select.poll()
    poll.register(raw._sock.fileno(), select.POLLIN)  # noqa: SLF001  PyMySQL has no other way to it
    if poll.poll(0):
        raise InvalidatePoolError


def _failed(context: sa.ExceptionContext) -> None:
    # After a failover the old server may live on as a replica: another connection leads to the new one.
    if is_replica(context.original_exception):
        context.is_disconnect = True
