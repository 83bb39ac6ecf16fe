"""The application's own connections and sessions, and what happens after they commit (P1)."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

from taskqueue.database.dialects import Dialect
from taskqueue.errors import ConfigurationError


def connection_of(given: Any, dialect: Dialect, name: str) -> sa.Connection:
    """The SQLAlchemy connection behind a Connection or Session, async ones too, that leads to this very database.

    Raises ConfigurationError for any other; `name` is what the database is called.
    """
    connection = _connection_of(given)
    if not dialect.same_database(connection):
        other = connection.engine.url.render_as_string(hide_password=True)
        raise ConfigurationError(f"the connection given leads to {other}, but the queue is in {name}")
    return connection


def _connection_of(given: Any) -> sa.Connection:
    # The asynchronous ones are thin covers; whoever passes one runs inside SQLAlchemy's greenlet already (`run_sync`).
    given = getattr(given, "sync_connection", None) or getattr(given, "sync_session", None) or given
    if isinstance(given, sa.Connection):
        return given
    # Whoever has a session has imported the ORM; we do not.
    orm = sys.modules.get("sqlalchemy.orm")
    if orm and isinstance(given, orm.scoped_session):
        given = given()
    if orm and isinstance(given, orm.Session):
        connection: sa.Connection = given.connection()
        return connection
    raise ConfigurationError(f"connection= takes a SQLAlchemy Connection or Session, not {type(given).__name__}")


def after_commit(connection: sa.Connection, callbacks: Iterable[Callable[[], None]]) -> None:
    """Run these once the transaction that `connection` is in has been committed by its owner; drop them if not."""
    if not sa.event.contains(connection.engine, "handle_error", _failed):
        sa.event.listen(connection.engine, "handle_error", _failed)
    watch = _watches.get(connection)
    if watch is None:
        watch = _watches[connection] = _Watch(connection)
    watch.add(connection, callbacks)


class _Watch:
    """Follows one connection.

    SQLAlchemy tells of a commit just before it. That it is over shows when its transaction object is gone, or when the
    next one begins on the same connection; that it failed, by an error in between.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._callbacks: list[Callable[[], None]] = []
        self._savepoints: list[int] = []
        self._committing = False
        self._transaction: weakref.ref[sa.RootTransaction] | None = None
        events: dict[str, Callable[..., object]] = {
            "begin": self._over,
            "commit": self._commit,
            "rollback": self.drop,
            "savepoint": self._savepoint,
            "release_savepoint": self._end_savepoint,
            "rollback_savepoint": self._rollback_savepoint,
        }
        for event, listener in events.items():
            sa.event.listen(connection, event, listener)

    def add(self, connection: sa.Connection, callbacks: Iterable[Callable[[], None]]) -> None:
        self._callbacks.extend(callbacks)
        transaction = connection.get_transaction()
        assert transaction
        self._transaction = weakref.ref(transaction, self._over)

    def failed(self) -> None:
        if self._committing:
            self.drop()

    def drop(self, connection: sa.Connection | None = None) -> None:
        self._committing = False
        self._savepoints.clear()
        self._callbacks.clear()

    def _commit(self, connection: sa.Connection) -> None:
        self._committing = True

    def _over(self, _: object) -> None:
        callbacks = self._callbacks if self._committing else []
        self._callbacks = []
        self.drop()
        for callback in callbacks:
            callback()

    def _savepoint(self, connection: sa.Connection, name: str | None) -> None:
        self._savepoints.append(len(self._callbacks))

    def _end_savepoint(self, connection: sa.Connection, name: str, context: None) -> int:
        # A savepoint that is older than this watch is older than all that it holds.
        return self._savepoints.pop() if self._savepoints else 0

    def _rollback_savepoint(self, connection: sa.Connection, name: str, context: None) -> None:
        del self._callbacks[self._end_savepoint(connection, name, context) :]


_watches: weakref.WeakKeyDictionary[sa.Connection, _Watch] = weakref.WeakKeyDictionary()


def _failed(context: sa.ExceptionContext) -> None:
    watch = _watches.get(context.connection) if context.connection else None
    if watch:
        watch.failed()
