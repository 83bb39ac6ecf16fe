"""What one process has of a database. None of it crosses a fork.

SQLite remembers in the process which locks it holds on a file, but the kernel gives none of them to a forked child: a
child that opens the file beside inherited connections works unlocked, and can lose what it writes. Nor may it close
them. So before a fork all connections are closed, once the steps of other threads have ended; the next use opens
new ones, on either side. A child of a thread that was inside a step itself cannot use the database.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from taskqueue.database.transaction import Transaction
from taskqueue.errors import BrokerUnavailable

_processes: weakref.WeakSet[Process] = weakref.WeakSet()


class Process:
    """The engine of this process, and what its threads have open. A fork waits `patience` seconds for their ends."""

    def __init__(self, name: str, create_engine: Callable[[], sa.Engine], *, patience: float) -> None:
        self._name, self._create_engine, self._patience = name, create_engine, patience
        self._begin()
        _processes.add(self)

    def _begin(self, *, spoilt: bool = False) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.ready = False
        #: by thread: the write transaction in progress, and the application's connection it was told to join. Plain
        #: dicts, because a fork frees the thread-local data of all other threads.
        self.open: dict[int, Transaction] = {}
        self.joined: dict[int, sa.Connection] = {}
        self._spoilt = spoilt
        self._engine: sa.Engine | None = None
        self._connected = False
        self._raw: set[Any] = set()
        self._gate = threading.Condition()
        self._inside: Counter[int] = Counter()
        self._forking = False

    @contextlib.contextmanager
    def connection(self) -> Iterator[sa.Connection]:
        """A connection of our own, for a step of this thread; in a child that was forked inside it, left alone."""
        thread, pid = threading.get_ident(), self.pid
        self._enter(thread)
        try:
            connection = self._connect()
            try:
                yield connection
            finally:
                if self.pid == pid:
                    self._return(connection)
        finally:
            if self.pid == pid:
                self._leave(thread)

    @property
    def in_transaction(self) -> bool:
        """Whether the calling thread has one open, or has joined an application's."""
        thread = threading.get_ident()
        return thread in self.open or thread in self.joined

    def warm(self) -> None:
        """Make the engine, which connects to nothing: processes that are forked before it does share it."""
        self._create()

    def close(self) -> None:
        """Close what lies idle; what is in use is closed when it comes back."""
        with self.lock:
            engine, self._engine, self.ready = self._engine, None, False
        if engine:
            engine.pool.dispose()

    def _connect(self) -> sa.Connection:
        if self._spoilt:
            raise BrokerUnavailable(
                f"{self._name}: this process was forked inside a step of its parent and cannot use its database; "
                "fork outside of one"
            )
        return (self._engine or self._create()).connect()

    def _return(self, connection: sa.Connection) -> None:
        connection.close()
        if connection.engine is not self._engine:
            connection.engine.pool.dispose()

    def _create(self) -> sa.Engine:
        with self.lock:
            if self._engine is None:
                self._engine = self._create_engine()
                sa.event.listen(self._engine, "connect", lambda raw, _: self._note(raw))
                sa.event.listen(self._engine, "close", lambda raw, _: self._raw.discard(raw))
                sa.event.listen(self._engine, "close_detached", self._raw.discard)
            return self._engine

    def _note(self, raw: Any) -> None:
        self._connected = True
        self._raw.add(raw)

    # Forks

    def _enter(self, thread: int) -> None:
        with self._gate:
            while self._forking and not self._inside[thread]:
                self._gate.wait()
            self._inside[thread] += 1

    def _leave(self, thread: int) -> None:
        with self._gate:
            self._inside[thread] -= 1
            if not self._inside[thread]:
                del self._inside[thread]
            if self._forking:
                self._gate.notify_all()

    def before_fork(self) -> None:
        """Wait until no other thread is inside a step, let none begin one, and close everything."""
        with self._gate:
            self._forking = True
            others = self._inside.keys() - {threading.get_ident()}
            self._gate.wait_for(lambda: not others & self._inside.keys(), self._patience)
            quiet = not self._inside
        if quiet and self._engine:
            self._engine.pool.dispose()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        with self._gate:
            self._forking = False
            self._gate.notify_all()

    def after_fork_in_child(self) -> None:
        """Begin anew. What could not be closed is never freed: Python would close it."""
        if self._raw:
            inherited = (self._engine, self._raw, self.open, self.joined)
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
        unused = None if self._connected else self._engine
        self._begin(spoilt=bool(self._raw))
        self._engine = unused


def _each(step: Callable[[Process], None]) -> Callable[[], None]:
    def run() -> None:
        for process in list(_processes):
            step(process)

    return run


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_each(Process.before_fork),
        after_in_parent=_each(Process.after_fork_in_parent),
        after_in_child=_each(Process.after_fork_in_child),
    )
