"""PostgreSQL 14 and newer, by psycopg 3: READ COMMITTED; a row that another transaction holds is passed over.

Reads go without a transaction of their own, each in one round trip. Behind PgBouncer in transaction mode
(`listen = false`, or `direct_url`) nothing of a session is relied upon.
"""

from __future__ import annotations

import select
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import InvalidatePoolError

from taskqueue.clock import Clock
from taskqueue.database.dialects import NO_OPTIONS, Diagnosis, Dialect, driver
from taskqueue.database.notify import NotifyWakeup
from taskqueue.database.postgresql_errors import diagnose, is_replica
from taskqueue.database.schema import Tables
from taskqueue.database.transaction import Transaction
from taskqueue.database.wakeup import PolledWakeup, Wakeup
from taskqueue.errors import ConfigurationError

if TYPE_CHECKING:
    import psycopg

OLDEST = 14
#: ids in one step of the sequence: as many messages as one call may push
BLOCK = 1 << 20
#: seconds for one read, which may be a search through a long log
PATIENCE = 60.0


class PostgresqlDialect(Dialect):
    """A server. Idle workers listen on one more connection a process."""

    names = ("postgresql",)
    moves_in_one = True

    def __init__(
        self, url: sa.URL, tables: Tables, *, timeout: float, clock: Clock, options: Mapping[str, Any] = NO_OPTIONS
    ) -> None:
        super().__init__(url, tables, timeout=timeout, clock=clock, options=options)
        if url.drivername not in ("postgresql", "postgresql+psycopg"):
            raise ConfigurationError(f"{url.render_as_string()}: use psycopg 3, postgresql+psycopg://...")
        self._psycopg = driver("psycopg", extra="postgresql", url=url)
        direct, listens = options.get("direct_url"), options.get("listen", True)
        # A pooler gives each transaction any session: then statements are not prepared, and settings not kept.
        self._pooled = bool(direct) or not listens
        self.wakeup: Wakeup = PolledWakeup()
        if listens:
            self.wakeup = NotifyWakeup(self._channel(), lambda: self.connect(direct))
        schema = tables.metadata.schema
        self._sequence = sa.Sequence(f"{tables.prefix}message_id", schema=schema)
        self._reserve = sa.select(self._sequence.next_value())
        micros = sa.func.floor(sa.func.extract("epoch", sa.func.clock_timestamp()) * 1_000_000)
        self._now = sa.select(sa.cast(micros, sa.BigInteger))
        self._known: weakref.WeakSet[sa.Engine] = weakref.WeakSet()

    # Connections

    def create_engine(self) -> sa.Engine:
        engine = sa.create_engine(
            self.url.set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
            use_native_hstore=False,
            connect_args=self._arguments(),
            pool_size=5,
            max_overflow=-1,
            pool_use_lifo=True,
        )
        sa.event.listen(engine, "connect", self._connected)
        sa.event.listen(engine, "checkout", _checked_out)
        sa.event.listen(engine, "handle_error", _failed)
        return engine

    def connect(self, direct_url: str | None = None) -> psycopg.Connection[Any]:
        """A connection beside the pool; by `direct_url` past a pooler."""
        url = sa.make_url(direct_url) if direct_url else self.url
        text = url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection: psycopg.Connection[Any] = self._psycopg.connect(text, autocommit=True, **self._arguments())
        return connection

    def _arguments(self) -> dict[str, Any]:
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

    def _connected(self, raw: psycopg.Connection[Any], _: object) -> None:
        if raw.info.server_version // 10_000 < OLDEST:
            version = raw.info.parameter_status("server_version")
            raise ConfigurationError(
                f"{self.url.render_as_string()}: PostgreSQL {version} is too old; "
                f"upgrade the server to {OLDEST} or newer"
            )
        if not self._pooled:
            with raw.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = {PATIENCE * 1000:.0f}".encode())
            if not raw.autocommit:
                raw.commit()

    # Transactions

    def begin(self, connection: sa.Connection, *, timeout: float) -> None:
        connection.begin()
        milliseconds = int(timeout * 1000)
        limits = f"SET LOCAL lock_timeout = {milliseconds}; SET LOCAL statement_timeout = {milliseconds}"
        # Several in one text travel as one.
        connection.exec_driver_sql(f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {limits}")

    def enter(self, connection: sa.Connection) -> None:
        raw: Any = connection.connection.driver_connection
        if raw.autocommit:
            raise ConfigurationError(
                f"{self.url.render_as_string()}: the connection given is in autocommit mode: nothing to join"
            )

    def same_database(self, connection: sa.Connection) -> bool:
        if connection.dialect.name != "postgresql" or connection.dialect.driver != "psycopg":
            return False
        if connection.engine not in self._known:
            with self.connect() as own:
                ours = own.execute(_WHICH).fetchone()
            if ours is None or tuple(connection.exec_driver_sql(_WHICH).one()) != tuple(ours):
                return False
            self._known.add(connection.engine)
        return True

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
        now: int = connection.execute(self._now).scalar_one()
        return now

    def due_now(self, connection: sa.Connection) -> int:
        return self.lease_now(connection)

    def reserve_ids(self, transaction: Transaction, n: int) -> int:
        if n > BLOCK:
            raise ValueError(f"{n:,} messages at once; push at most {BLOCK:,}")
        return int(transaction.execute(self._reserve).scalar_one()) * BLOCK

    def ids_in(self, column: sa.ColumnElement[Any], bind: str) -> sa.ColumnElement[bool]:
        # Text and not the column's own type, which would cut off what is longer.
        kind = sa.Text() if isinstance(column.type, sa.String) else column.type
        return column == sa.any_(sa.bindparam(bind, type_=postgresql.ARRAY(kind)))

    def insert_new(self, table: sa.Table) -> sa.Insert:
        return postgresql.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)

    def text_of(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        return sa.func.convert_from(column, "UTF8", type_=sa.Text())

    def diagnose(self, error: BaseException) -> Diagnosis:
        return diagnose(error)

    def _channel(self) -> str:
        return f"{self.tables.prefix}{self.tables.metadata.schema or ''}"


#: what no two databases of the world have in common
_WHICH = "SELECT current_database()::text, pg_postmaster_start_time()::text, inet_server_port()::text"


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))  # 0 is for ever


def _checked_out(raw: psycopg.Connection[Any], *_: object) -> None:
    # A server that has ended this session has said so: something waits to be read where nothing was asked for.
    poll = select.poll()
    poll.register(raw.fileno(), select.POLLIN)
    if poll.poll(0):
        raise InvalidatePoolError


def _failed(context: sa.ExceptionContext) -> None:
    # After a failover the old server may live on as a replica: another connection leads to the new one.
    if is_replica(context.original_exception):
        context.is_disconnect = True
