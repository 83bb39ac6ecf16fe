"""MariaDB 10.6 and newer, MySQL 8: READ COMMITTED; a row that another transaction holds is passed over.

Nobody can be woken here: idle workers look ever so often. All text is compared by its bytes, and the session's time
zone is never asked. Statements that define tables commit by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from taskqueue.clock import Clock
from taskqueue.database.dialects import NO_OPTIONS, Diagnosis, driver
from taskqueue.database.failures import StoreBusy
from taskqueue.database.mysql_errors import diagnose, is_replica
from taskqueue.database.schema import Tables
from taskqueue.database.server import ServerDialect
from taskqueue.database.transaction import Transaction
from taskqueue.database.wakeup import PolledWakeup
from taskqueue.errors import ConfigurationError

#: the oldest versions that pass over locked rows
OLDEST = {"MariaDB": (10, 6), "MySQL": (8, 0)}
_DRIVERS = ("mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql")


class MysqlDialect(ServerDialect):
    """Nobody can be woken here."""

    names = ("mysql", "mariadb")
    driver_name = "pymysql"
    scheme = "mysql+pymysql"
    which = "SELECT DATABASE(), @@hostname, @@port, @@datadir"
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
        self._number = sa.table(f"{tables.prefix}number", sa.column("id", sa.BigInteger))

    # Connections

    def arguments(self) -> dict[str, Any]:
        wait = max(1, round(self.timeout))
        return {
            "charset": "utf8mb4",
            "connect_timeout": wait,
            # Longer than a lock is waited for: the server's own answer says more.
            "read_timeout": wait + 5,
            "write_timeout": wait + 5,
        }

    def descriptor(self, raw: Any) -> int:
        number: int = raw._sock.fileno()  # noqa: SLF001  PyMySQL has no other way to it
        return number

    def commits_by_itself(self, raw: Any) -> bool:
        return bool(raw.get_autocommit())

    def is_replica(self, error: BaseException) -> bool:
        return is_replica(error)

    def connected(self, raw: Any) -> None:
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

    def prepare(self, transaction: Transaction, *, timeout: float) -> None:
        connection, name = transaction.connection, f"{self.url.database}.{self.tables.prefix}init"[:64]
        raw: Any = connection.connection.driver_connection
        raw._read_timeout = None  # noqa: SLF001  an index on a long table takes its time
        # The lock and the limits last as long as the session, whatever becomes of this step: let all end with it.
        connection.detach()
        for statement in self.preparation(timeout=timeout):
            connection.exec_driver_sql(statement)
        if not connection.execute(sa.select(sa.func.get_lock(name, _whole(timeout)))).scalar():
            raise StoreBusy(f"{self.url.render_as_string()}: another `taskqueue init` has been at work for too long")

        def release() -> None:
            # What follows the tables' creation, the version, must be there before another one looks.
            connection.exec_driver_sql("COMMIT")
            connection.execute(sa.select(sa.func.release_lock(name)))

        transaction.before_commit("release the lock", release)

    def preparation(self, *, timeout: float) -> list[str]:
        return [f"SET SESSION lock_wait_timeout = {_whole(timeout)}"]

    # Clocks and statements

    def lease_now(self, connection: sa.Connection) -> int:
        now: int = connection.exec_driver_sql(_NOW).scalar_one()
        return now

    def next_block(self, transaction: Transaction) -> int:
        # A counter in a row would make all writers wait for each other; this one is counted on even by a rollback.
        number = transaction.execute(sa.insert(self._number), {"id": None}).lastrowid
        transaction.execute(sa.delete(self._number).where(self._number.c.id == number))
        return int(number)

    def ids_in(self, column: sa.ColumnElement[Any], bind: str) -> sa.ColumnElement[bool]:
        return column.in_(sa.bindparam(bind, expanding=True))

    def insert_new(self, table: sa.Table) -> sa.Insert:
        # INSERT IGNORE would swallow other errors too.
        key = next(iter(table.primary_key))
        return mysql.insert(table).on_duplicate_key_update({key.name: key})

    def diagnose(self, error: BaseException) -> Diagnosis:
        return diagnose(error)


_NOW = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))"


def _whole(timeout: float) -> int:
    return max(1, round(timeout))
