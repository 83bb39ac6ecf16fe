"""What one process has of a database. None of it crosses a fork.

A child that used or closed its parent's SQLite connections could damage the parent's transaction, and Python closes
what it collects. So a child forgets what it inherits without ever freeing it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from taskqueue.database.transaction import Transaction


class Process:
    """The engine of this process, and what its threads have open."""

    def __init__(self, create_engine: Callable[[], sa.Engine]) -> None:
        self.lock = threading.RLock()
        self.ready = False
        #: by thread: the write transaction in progress, and the application's connection it was told to join. A plain
        #: dict, because a fork frees the thread-local data of all other threads.
        self.open: dict[int, Transaction] = {}
        self.joined: dict[int, sa.Connection] = {}
        self._create_engine = create_engine
        self._engine: sa.Engine | None = None
        self._raw: set[Any] = set()

    @property
    def engine(self) -> sa.Engine:
        """The engine, made at its first use. It connects when it must."""
        return self._engine or self._create()

    def close(self) -> None:
        """Close what lies idle; what is in use closes when it is returned."""
        with self.lock:
            engine, self._engine, self.ready = self._engine, None, False
        if engine:
            engine.dispose()

    def abandon(self) -> None:
        """In a forked child: keep all this from ever being freed."""
        if self._raw:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    def _create(self) -> sa.Engine:
        with self.lock:
            if self._engine is None:
                engine = self._create_engine()
                sa.event.listen(engine, "connect", lambda raw, _: self._raw.add(raw))
                sa.event.listen(engine, "close", lambda raw, _: self._raw.discard(raw))
                self._engine = engine
            return self._engine
