"""PostgreSQL 14 and newer, by psycopg 3: READ COMMITTED; a row that another transaction holds is passed over.

Reads go without a transaction of their own, each in one round trip. Behind PgBouncer in transaction mode
(`listen = false`, or `direct_url`) nothing of a session is relied upon.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from taskqueue.clock import Clock
from taskqueue.database.dialects import NO_OPTIONS, Diagnosis, driver
from taskqueue.database.notify import NotifyWakeup
from taskqueue.database.pooler import WHAT, is_shared
from taskqueue.database.postgresql_arrays import Place, array, update_each
from taskqueue.database.postgresql_errors import diagnose, is_replica
from taskqueue.database.schema import Tables
from taskqueue.database.server import BLOCK, ServerDialect
from taskqueue.database.transaction import Transaction
from taskqueue.database.wakeup import PolledWakeup, Wakeup
from taskqueue.errors import ConfigurationError
from taskqueue.masking import mask_url

if TYPE_CHECKING:
    import psycopg

OLDEST = 14
#: seconds for one read, which may be a search through a long log
PATIENCE = 60.0
#: so many rows are copied into their table; fewer are inserted
WORTH_A_COPY = 16
_NOW = "floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


class PostgresqlDialect(ServerDialect):
    """Idle workers listen on one more connection a process."""

    names = ("postgresql",)
    driver_name = "psycopg"
    scheme = "postgresql+psycopg"
    which = "SELECT current_database()::text, pg_postmaster_start_time()::text, current_setting('port')"
    #: no question about a type that we do not have, at each connect
    engine_options: Mapping[str, Any] = {"use_native_hstore": False}
    moves_in_one = True
    place = sa.literal_column("ctid", Place())
    now = sa.literal_column(_NOW, sa.BigInteger())
    returns_changes = True
    keeps_dead_rows = True

    def __init__(
        self, url: sa.URL, tables: Tables, *, timeout: float, clock: Clock, options: Mapping[str, Any] = NO_OPTIONS
    ) -> None:
        super().__init__(url, tables, timeout=timeout, clock=clock, options=options)
        if url.drivername not in ("postgresql", "postgresql+psycopg"):
            raise ConfigurationError(f"{url.render_as_string()}: use psycopg 3, postgresql+psycopg://...")
        self._psycopg = driver("psycopg", extra="postgresql", url=url)
        self._direct: str | None = options.get("direct_url")
        listens = options.get("listen", True)
        # A pooler gives each transaction any session: then statements are not prepared, and settings not kept.
        self._pooled = bool(self._direct) or not listens
        self._examined = False
        self.wakeup: Wakeup = PolledWakeup()
        if listens:
            self.wakeup = NotifyWakeup(self._channel(), lambda: self.connect(self._direct))
        schema = tables.metadata.schema
        self._sequence = sa.Sequence(f"{tables.prefix}message_id", schema=schema)
        self._reserve = sa.select(self._sequence.next_value())
        self.new_id = None if self._pooled else self._sequence.next_value() * BLOCK
        self._updates = cache(update_each)

    # Connections

    def connect(self, direct_url: str | None = None) -> psycopg.Connection[Any]:
        """A connection beside the pool; by `direct_url` past a pooler."""
        url = sa.make_url(direct_url) if direct_url else self.url
        text = url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection: psycopg.Connection[Any] = self._psycopg.connect(text, autocommit=True, **self.arguments())
        return connection

    def arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "connect_timeout": max(2, round(self.timeout)),  # libpq takes 1 for 2
            "tcp_user_timeout": int(self.timeout * 1000),
            "keepalives_idle": 30,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }
        found = {key: value for key, value in found.items() if key not in self.url.query}
        if "application_name" not in self.url.query:
            found["fallback_application_name"] = "taskqueue"
        if self._pooled:
            return found | {"prepare_threshold": None}
        return found

    def connected(self, raw: psycopg.Connection[Any]) -> None:
        self._refuse_old(raw)
        if not self._examined:
            self._refuse_shared(raw)
            self._examined = True
        if not self._pooled:
            with raw.cursor() as cursor:
                # Whatever the role's own are: a statement that is a transaction of its own says nothing of them.
                writes = "SET default_transaction_read_only = off; SET default_transaction_isolation = 'read committed'"
                cursor.execute(f"{writes}; {self._settings('SET', self.timeout)}".encode())
            if not raw.autocommit:
                raw.commit()

    def descriptor(self, raw: psycopg.Connection[Any]) -> int:
        return raw.fileno()

    def commits_by_itself(self, raw: psycopg.Connection[Any]) -> bool:
        return raw.autocommit

    def is_replica(self, error: BaseException) -> bool:
        return is_replica(error)

    def _refuse_old(self, raw: psycopg.Connection[Any]) -> None:
        if raw.info.server_version // 10_000 < OLDEST:
            version = raw.info.parameter_status("server_version")
            raise ConfigurationError(
                f"{self.url.render_as_string()}: PostgreSQL {version} is too old; "
                f"upgrade the server to {OLDEST} or newer"
            )

    def _refuse_shared(self, raw: psycopg.Connection[Any]) -> None:
        """What a session must keep would be lost without a word."""
        if not self._pooled and is_shared(raw, self.connect):
            raise ConfigurationError(
                f"{self.url.render_as_string()}: {WHAT}: LISTEN hears nothing and prepared statements fail; "
                "set listen = false beside the url, or direct_url to the server itself"
            )
        if self._direct and self._direct_is_shared():
            raise ConfigurationError(
                f"direct_url {mask_url(self._direct)}: {WHAT}: LISTEN hears nothing; "
                "let direct_url lead to the server itself, or set listen = false instead"
            )

    def _direct_is_shared(self) -> bool:
        # Where it does not answer, idle workers look ever so often until it does.
        with contextlib.suppress(self._psycopg.Error), self.connect(self._direct) as direct:
            return is_shared(direct, lambda: self.connect(self._direct))
        return False

    # Transactions

    def begin(self, connection: sa.Connection, *, timeout: float) -> None:
        connection.begin()
        begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
        if self._pooled or timeout != self.timeout:
            begin += f"; {self._settings('SET LOCAL', timeout)}"
        # Several in one text travel as one.
        connection.exec_driver_sql(begin)

    def _settings(self, keyword: str, timeout: float) -> str:
        milliseconds = _milliseconds(timeout)
        # Of a table that fills faster than it is looked over the planner thinks that it is small: it would rather read
        # and sort a million messages than take the first hundred of its index. Where no index has the order it sorts.
        settings = {"lock_timeout": milliseconds, "statement_timeout": milliseconds, "enable_sort": "off"}
        return "; ".join(f"{keyword} {name} = {value}" for name, value in settings.items())

    def be_patient(self, connection: sa.Connection) -> None:
        connection.begin()
        connection.exec_driver_sql(
            f"BEGIN; SET LOCAL statement_timeout = {_milliseconds(PATIENCE)}; SET LOCAL enable_sort = on"
        )

    def prepare(self, transaction: Transaction, *, timeout: float) -> None:
        execute = transaction.connection.exec_driver_sql
        execute(f"SET LOCAL lock_timeout = {_milliseconds(timeout)}")
        execute("SET LOCAL statement_timeout = 0")  # an index on a long table takes its time
        transaction.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(self._channel()))))
        schema = self.tables.metadata.schema
        if schema and not sa.inspect(transaction.connection).has_schema(schema):
            transaction.execute(sa.schema.CreateSchema(schema))

    def preparation(self, *, timeout: float) -> list[str]:
        said = [
            f"SET LOCAL lock_timeout = {_milliseconds(timeout)}",
            "SET LOCAL statement_timeout = 0",
            "SELECT pg_advisory_xact_lock(hashtext('{}'))".format(self._channel().replace("'", "''")),
        ]
        if schema := self.tables.metadata.schema:
            said.append('CREATE SCHEMA IF NOT EXISTS "{}"'.format(schema.replace('"', '""')))
        return said

    # Clocks and statements

    def lease_now(self, connection: sa.Connection) -> int:
        now: int = connection.exec_driver_sql(f"SELECT {_NOW}").scalar_one()
        return now

    def next_block(self, transaction: Transaction) -> int:
        ((block,),) = transaction.rows(self._reserve, {})
        return int(block)

    def ids_in(self, column: sa.ColumnElement[Any], bind: str) -> sa.ColumnElement[bool]:
        return column == sa.any_(array(bind, column.type))

    def insert_new(self, table: sa.Table) -> sa.Insert:
        return postgresql.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)

    def insert_rows(self, transaction: Transaction, statement: sa.Insert, rows: Sequence[Mapping[str, Any]]) -> int:
        if len(rows) < WORTH_A_COPY or transaction.joined:
            return super().insert_rows(transaction, statement, rows)
        return self._copy(transaction, statement.table, rows)

    def _copy(self, transaction: Transaction, table: Any, rows: Sequence[Mapping[str, Any]]) -> int:
        """The same by COPY, which knows no conflicts: a row that is there already is an IntegrityError."""
        columns = list(rows[0])
        prepare = transaction.connection.dialect.identifier_preparer
        names = ", ".join(prepare.quote(name) for name in columns)
        command = f"COPY {prepare.format_table(table)} ({names}) FROM STDIN"
        with transaction.driver(command) as cursor, cursor.copy(command) as copy:
            for row in rows:
                copy.write_row([row[name] for name in columns])
        return len(rows)

    def update_rows(self, transaction: Transaction, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = list(rows[0])
        statement = self._updates(table, tuple(name for name in columns if name != "of"))
        transaction.run(statement, {name: [row[name] for row in rows] for name in columns})

    def text_of(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        return sa.func.convert_from(column, "UTF8", type_=sa.Text())

    def diagnose(self, error: BaseException) -> Diagnosis:
        return diagnose(error)

    def _channel(self) -> str:
        return f"{self.tables.prefix}{self.tables.metadata.schema or ''}"


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))  # 0 is for ever
