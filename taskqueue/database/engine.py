"""One database: its transactions, and how they join each other.

A step of the queue is one write transaction whoever takes part in it: `begin()` joins what the thread has open, and
inside `join(connection)` the application's own.
"""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa

from taskqueue.clock import Clock, SystemClock
from taskqueue.database import joining, upgrade
from taskqueue.database.dialects import kind_of, open_dialect, parse_url
from taskqueue.database.direct import THROUGH, Direct, Row, Values
from taskqueue.database.failures import Failures, StoreBusy, StoreUnprepared
from taskqueue.database.process import Process
from taskqueue.database.schema import tables
from taskqueue.database.transaction import Transaction
from taskqueue.errors import BrokerUnavailable, ConfigurationError, TaskQueueError
from taskqueue.masking import mask_url
from taskqueue.shield import SHIELD

__all__ = ["Database", "StoreBusy", "Transaction"]

T = TypeVar("T")


class Database:
    """A database that holds our tables. Opens nothing until it is used. Safe in threads and after a fork.

    `timeout` is how long, in seconds, a write waits for its turn; `options` are those of its kind of store.
    Raises ConfigurationError for a URL that cannot be. Every other method raises BrokerUnavailable if the database does
    not answer. What is raised into a running task is raised after its step, never inside it (`SHIELD`).
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "taskqueue_",
        schema: str | None = None,
        timeout: float = 5.0,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        parsed = parse_url(url)
        self.name = mask_url(parsed.render_as_string(hide_password=True))
        self.timeout = timeout
        self.clock = clock or SystemClock()
        self.tables = tables(prefix, schema, kind=kind_of(parsed))
        self.dialect = open_dialect(parsed, self.tables, timeout=timeout, clock=self.clock, options=options)
        self.wakeup = self.dialect.wakeup
        self._failures = Failures(self.dialect, self.name)
        self._direct = Direct(self.dialect.ends_session)
        self._process = Process(self.name, self.dialect.create_engine, patience=timeout)
        weakref.finalize(self, self._process.close)
        weakref.finalize(self, self.wakeup.close)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A write transaction: committed at the end of the block, rolled back if it raises.

        Within another one of this thread it is a part of that one, which stands or falls as a whole.
        """
        process, thread = self._process, threading.get_ident()
        if outer := process.open.get(thread):
            with outer.part():
                yield outer
            return
        with SHIELD():
            joined = process.joined.get(thread)
            with self._joined_step(process, joined) if joined else self._own_step(self._prepared()) as transaction:
                yield transaction

    @contextmanager
    def read(self, *, patient: bool = False) -> Iterator[sa.Connection]:
        """A connection to read by. Within a write transaction of this thread, that one's, which sees what it wrote.

        `patient`: for what may take longer than a write may wait.
        """
        process, thread = self._process, threading.get_ident()
        outer = process.open.get(thread)
        if present := outer.connection if outer else process.joined.get(thread):
            with self._failures.translated():
                yield present
        else:
            with SHIELD(), self._connection(self._prepared()) as connection:
                if patient:
                    self.dialect.be_patient(connection)
                yield connection

    def rows(self, statement: sa.Executable, values: Values) -> Sequence[Row]:
        """The rows of a statement that is kept and run often; where no transaction is open it is one by itself."""
        with self.read() as connection:
            way = THROUGH if threading.get_ident() in self._process.joined else self._direct
            return way.rows(connection, statement, values)

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has one open, or has joined an application's."""
        return self._process.in_transaction

    @contextmanager
    def join(self, connection: Any) -> Iterator[None]:
        """Within it, this thread's `begin()` and `read()` are part of the application's transaction (P1).

        `connection` is a SQLAlchemy Connection or Session (or an asynchronous one, inside `run_sync`) on this very
        database; any other is refused (ConfigurationError). Nothing is committed here: that is its owner's to do.
        """
        process, thread = self._process, threading.get_ident()
        with SHIELD():
            theirs = self._joinable(process, connection)
        before = process.joined.get(thread)
        if before not in (None, theirs):
            raise ConfigurationError(f"{self.name}: this thread has joined another transaction already")
        try:
            process.joined[thread] = theirs
            yield
        finally:
            if before is None:
                process.joined.pop(thread, None)

    def turn(self, step: Callable[[], T]) -> T:
        """Run `step`, which calls `begin()`; again from its start if another writer was in the way (R12)."""
        if self.in_transaction:
            return step()  # The whole of it is not ours to repeat.
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                return step()
            except StoreBusy:
                if time.monotonic() >= deadline:
                    raise
            threading.Event().wait(random.uniform(0.001, 0.02))

    def initialize(self, *, lock_timeout: float | None = None) -> None:
        """Create or upgrade our tables and touch nothing else (P17). Raises SchemaMismatch if they are too new.

        A lock is waited for `lock_timeout` seconds (`timeout`), then StoreBusy is raised.
        """
        with SHIELD():
            self._process.ready = False
            self._prepared(upgrading=True, timeout=lock_timeout)

    @contextmanager
    def look(self) -> Iterator[sa.Connection]:
        """A connection to look at what there is, our tables or none: nothing is created and nothing checked."""
        with SHIELD(), self._failures.translated(), self.dialect.reader() as connection:
            self.dialect.be_patient(connection)
            yield connection

    def warm(self) -> None:
        """Import and make what processes that are forked later can share. Connects to nothing."""
        self._process.warm()

    def close(self) -> None:
        """Let go of all connections. The next use opens new ones."""
        with SHIELD():
            self.wakeup.close()
            self._process.close()

    @contextmanager
    def _own_step(self, process: Process, *, timeout: float | None = None) -> Iterator[Transaction]:
        thread, pid = threading.get_ident(), process.pid
        with self._connection(process) as connection:
            self.dialect.begin(connection, timeout=timeout or self.timeout)
            try:
                transaction = process.open[thread] = Transaction(connection, self.tables, self._direct)
                yield transaction
                if process.pid != pid:
                    raise TaskQueueError(f"{self.name}: this process was forked inside a transaction of its parent")
                transaction.settle()
                connection.commit()
            finally:
                if process.pid == pid:
                    process.open.pop(thread, None)
        for callback in transaction.callbacks:
            callback()

    @contextmanager
    def _joined_step(self, process: Process, connection: sa.Connection) -> Iterator[Transaction]:
        thread = threading.get_ident()
        with self._failures.translated():
            self.dialect.enter(connection)
            # A savepoint: what fails here must not be half of what the application commits.
            with connection.begin_nested():
                try:
                    transaction = process.open[thread] = Transaction(connection, self.tables, THROUGH, joined=True)
                    yield transaction
                    transaction.settle()
                finally:
                    process.open.pop(thread, None)
        joining.after_commit(connection, transaction.callbacks)

    def _joinable(self, process: Process, connection: Any) -> sa.Connection:
        """The application's connection, which leads to this very database."""
        if threading.get_ident() in process.open:
            raise ConfigurationError(f"{self.name}: this thread has a transaction open and cannot join another")
        try:
            self._prepared()
        except StoreBusy as error:
            # Most likely by the very transaction that is to be joined.
            raise BrokerUnavailable(f"{error}. Tables are created outside of it: run `taskqueue init`") from error
        with self._failures.translated():
            return joining.connection_of(connection, self.dialect, self.name)

    @contextmanager
    def _connection(self, process: Process) -> Iterator[sa.Connection]:
        try:
            with self._failures.translated(), process.connection() as connection:
                yield connection
        except StoreUnprepared:
            process.ready = False
            raise

    def _prepared(self, *, upgrading: bool = False, timeout: float | None = None) -> Process:
        """This process' part, once the tables are known to be there and to fit."""
        process = self._process
        if not process.ready:
            with process.lock:
                if not process.ready:
                    self._prepare(process, upgrading=upgrading, timeout=timeout or self.timeout)
                    process.ready = self._failures.worked = True
        return process

    def _prepare(self, process: Process, *, upgrading: bool, timeout: float) -> None:
        half, upgrading = self.dialect.commits_tables, upgrading or self.dialect.initializes_itself
        if upgrading and not self.dialect.initializes_itself:
            # Looked at only when it is our turn: what another one is about to create is half there.
            with self._own_step(process, timeout=timeout) as transaction:
                self.dialect.prepare(transaction, timeout=timeout)
                upgrade.upgrade(transaction.connection, self.tables, self.name, half=half)
        with self._connection(process) as connection:
            outdated = upgrade.is_outdated(connection, self.tables, self.name, half=half)
            stale = not outdated and self.dialect.is_stale(connection)
        if outdated and not upgrading:
            raise upgrade.too_old(self.name)
        if outdated or stale:
            with self._own_step(process, timeout=timeout) as transaction:
                if outdated:
                    upgrade.upgrade(transaction.connection, self.tables, self.name)
                self.dialect.revive(transaction)
