"""What the dialects of all database servers have in common: sessions that a server may end, one clock, joining."""

from __future__ import annotations

import abc
import select
import weakref
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import InvalidatePoolError

from taskqueue.clock import Clock
from taskqueue.database.dialects import NO_OPTIONS, Dialect
from taskqueue.database.schema import Tables
from taskqueue.errors import ConfigurationError

#: ids in one step of the server's counter: as many messages as one call may push
BLOCK = 1 << 20


class ServerDialect(Dialect):
    """A server. Sessions are in autocommit outside of our steps, and READ COMMITTED inside."""

    #: SQLAlchemy's name of the driver, and what its URLs begin with
    driver_name: str
    scheme: str
    #: a question whose answer no two databases of the world have in common
    which: str
    #: of SQLAlchemy's engine, beyond what all have
    engine_options: Mapping[str, Any] = NO_OPTIONS

    def __init__(
        self, url: sa.URL, tables: Tables, *, timeout: float, clock: Clock, options: Mapping[str, Any] = NO_OPTIONS
    ) -> None:
        super().__init__(url, tables, timeout=timeout, clock=clock, options=options)
        self._known: weakref.WeakSet[sa.Engine] = weakref.WeakSet()

    # What each kind does in its own way

    @abc.abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Of the driver's `connect`."""

    @abc.abstractmethod
    def connected(self, raw: Any) -> None:
        """A session has begun: set it up, or raise ConfigurationError if this server can never be ours."""

    @abc.abstractmethod
    def descriptor(self, raw: Any) -> int:
        """The socket of a driver's connection."""

    @abc.abstractmethod
    def commits_by_itself(self, raw: Any) -> bool:
        """Whether a driver's connection is in autocommit mode."""

    @abc.abstractmethod
    def is_replica(self, error: BaseException) -> bool:
        """Whether the server refuses to write because it is none to write to."""

    @abc.abstractmethod
    def next_block(self, transaction: Any) -> int:
        """The next number of the server's counter, which a rollback does not give out again."""

    # What all do alike

    def create_engine(self) -> sa.Engine:
        engine = sa.create_engine(
            self.url.set(drivername=self.scheme),
            isolation_level="AUTOCOMMIT",
            # Whoever closes a connection rolls back what is open. After a commit nothing is: a ROLLBACK all the same
            # costs MariaDB a round trip, and if the session was ended meanwhile, the log a traceback.
            pool_reset_on_return=None,
            connect_args=self.arguments(),
            pool_size=5,
            max_overflow=-1,
            pool_use_lifo=True,
            **self.engine_options,
        )
        sa.event.listen(engine, "connect", self._connected)
        sa.event.listen(engine, "checkout", self._checked_out)
        sa.event.listen(engine, "handle_error", self._failed)
        return engine

    def _connected(self, raw: Any, _: object) -> None:
        try:
            self.connected(raw)
        except ConfigurationError:
            raw.close()
            raise

    def _checked_out(self, raw: Any, *_: object) -> None:
        # A server that has ended this session has said so: something waits to be read where nothing was asked for.
        poll = select.poll()
        poll.register(self.descriptor(raw), select.POLLIN)
        if poll.poll(0):
            raise InvalidatePoolError

    def _failed(self, context: sa.ExceptionContext) -> None:
        # After a failover the old server may live on as a replica: another connection leads to the new one.
        if self.is_replica(context.original_exception):
            context.is_disconnect = True

    def enter(self, connection: sa.Connection) -> None:
        if self.commits_by_itself(connection.connection.driver_connection):
            raise ConfigurationError(
                f"{self.url.render_as_string()}: the connection given is in autocommit mode: nothing to join"
            )

    def same_database(self, connection: sa.Connection) -> bool:
        if connection.dialect.name not in self.names or connection.dialect.driver != self.driver_name:
            return False
        if connection.engine not in self._known:
            engine = self.create_engine()
            with engine.connect() as own:
                ours = own.exec_driver_sql(self.which).one()
            engine.dispose()
            if tuple(connection.exec_driver_sql(self.which).one()) != tuple(ours):
                return False
            self._known.add(connection.engine)
        return True

    def reserve_ids(self, transaction: Any, n: int) -> int:
        if n > BLOCK:
            raise ValueError(f"{n:,} messages at once; push at most {BLOCK:,}")
        return self.next_block(transaction) * BLOCK
