"""Waking idle workers by PostgreSQL's LISTEN and NOTIFY.

Producers notify in their transaction, so that nobody wakes before there is something to see. NOTIFY takes a lock of
the whole server at the commit, hence a burst does so only at its beginning and then every 20 ms (R10): what comes in
between is found by the look that every listener takes 25 ms after it woke. One thread a process listens for all its
bells, on a connection of its own, from the first time that it is idle.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from taskqueue.database.transaction import Transaction
from taskqueue.database.wakeup import Bell, Patience, Wakeup

if TYPE_CHECKING:
    import psycopg

Connect = Callable[[], "psycopg.Connection[Any]"]
#: seconds in which one notification speaks for all, and how many may be saved up while little happens
BURST, SAVED = 0.02, 5.0
#: seconds after which a listener looks once more
AGAIN = 0.025
#: seconds between looks where all is well: what stands behind a lost notification
BEHIND = 5.0
_inherited: list[object] = []


class NotifyWakeup(Wakeup):
    """One channel for all queues of a set of tables. `connect` opens a connection without a transaction."""

    def __init__(self, tables: str, connect: Connect) -> None:
        # The whole name may be longer than a channel's can be.
        self.channel = f"taskqueue_{hashlib.sha256(tables.encode()).hexdigest()[:16]}"
        self._connect = connect
        self.notification = sa.func.pg_notify(self.channel, sa.bindparam("told"))
        self._notify = sa.select(self.notification)
        #: by queue: how many notifications were saved up, and at what time (monotonic)
        self._saved: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()
        self._listener: Listener | None = None

    def ring(self, queue: str, n: int = 1) -> None:
        with contextlib.suppress(Exception), self._connect() as connection:
            connection.execute("SELECT pg_notify(%s, %s)", (self.channel, queue))

    def announce(self, transaction: Transaction, queue: str, n: int = 1) -> None:
        transaction.before_commit(f"notify {queue}", lambda: self._tell(transaction, queue))

    def _tell(self, transaction: Transaction, queue: str) -> None:
        if not transaction.joined:
            if not self.is_due(queue):
                return
            # Only what is committed speaks for others.
            transaction.after_commit(lambda: self.told(queue))
        transaction.rows(self._notify, {"told": queue})

    def is_due(self, queue: str) -> bool:
        return self._left(queue) >= 1.0

    def told(self, queue: str) -> None:
        self._saved[queue] = self._left(queue) - 1.0, time.monotonic()

    def _left(self, queue: str) -> float:
        saved, at = self._saved.get(queue, (SAVED, 0.0))
        return min(SAVED, saved + (time.monotonic() - at) / BURST)

    @contextmanager
    def listen(self, queue: str) -> Iterator[Bell]:
        listener = self._running()
        bell = ListeningBell(listener)
        with contextlib.closing(bell):
            if listener:
                listener.bells[queue].add(bell)
            try:
                yield bell
            finally:
                if listener:
                    listener.bells[queue].discard(bell)

    def _running(self) -> Listener | None:
        with self._lock:
            if self._listener and self._listener.pid != os.getpid():
                _inherited.append(self._listener)  # Freed, it would end the parent's session.
                self._listener = None
            if self._listener and not self._listener.alive:
                self._listener.stop()
                self._listener = None
            if self._listener is None:
                # Where there is no connection to be had the look that follows says so; until then, poll.
                with contextlib.suppress(Exception):
                    self._listener = Listener(self._connect(), self.channel)
            return self._listener

    def close(self) -> None:
        with self._lock:
            listener, self._listener = self._listener, None
        if listener and listener.pid == os.getpid():
            listener.stop()


class Listener:
    """A thread that passes on what it hears, until it is stopped or its connection breaks."""

    def __init__(self, connection: psycopg.Connection[Any], channel: str) -> None:
        self.pid = os.getpid()
        self.alive = True
        self.bells: defaultdict[str, set[ListeningBell]] = defaultdict(set)
        self._connection = connection
        try:
            connection.execute(f'LISTEN "{channel}"'.encode())
        except BaseException:
            connection.close()
            raise
        self._read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="taskqueue-listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, and its connection with it."""
        os.write(self._write, b"!")
        if threading.current_thread() is not self._thread:  # where it is the thread that collects garbage
            self._thread.join(5.0)
        os.close(self._read)
        os.close(self._write)

    def _run(self) -> None:
        # A broken connection has many names; whoever waits looks, and finds out.
        with contextlib.suppress(Exception):
            poll = select.poll()
            poll.register(self._connection.fileno(), select.POLLIN)
            poll.register(self._read, select.POLLIN)
            while not any(descriptor == self._read for descriptor, _ in poll.poll()):
                for heard in self._connection.notifies(timeout=0):
                    for bell in list(self.bells.get(heard.payload, ())):
                        bell.ring()
        self.alive = False
        self._connection.close()
        for bell in [bell for bells in list(self.bells.values()) for bell in list(bells)]:
            bell.ring()


class ListeningBell:
    """One waiting thread's. Without a listener that lives it asks for a look ever so often."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener
        self._out, self._in = os.pipe()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._lock = threading.Lock()
        self._polling = Patience()
        self._look_again = True

    def fileno(self) -> int:
        """What to poll."""
        return self._out

    def ring(self) -> None:
        """Make it readable."""
        with self._lock, contextlib.suppress(OSError):  # full, or closed
            os.write(self._in, b"!")

    def drain(self) -> None:
        """Make it quiet, and look once more soon: what came with this ring may be on its way."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._out, 4096)
        self._look_again = True

    def patience(self) -> float:
        """Short at first and after a ring (R10), then long."""
        if not (self._listener and self._listener.alive):
            return self._polling.next()
        again, self._look_again = self._look_again, False
        return AGAIN if again else BEHIND

    def close(self) -> None:
        """Let go of both ends."""
        with self._lock:
            os.close(self._out)
            os.close(self._in)
            self._in = -1
