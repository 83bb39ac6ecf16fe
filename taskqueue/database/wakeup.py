"""Waking idle workers: one FIFO a queue beside a SQLite database, read only by those who wait (R13).

A producer writes a byte a message and never blocks; where nobody waits, nothing is written. The order against a lost
wake-up: listen first, then look once more whether there is work, then sleep. A slow poll stands behind it all.
"""

from __future__ import annotations

import abc
import contextlib
import hashlib
import math
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol
from urllib.parse import quote

import sqlalchemy as sa

from taskqueue.database.sidefile import share_like
from taskqueue.database.transaction import Transaction

#: a queue whose name makes a longer file name than this is known by a hash
LONGEST = 100
MOST_WOKEN = 500


class Bell(Protocol):
    """A descriptor that becomes readable when somebody pushes."""

    def fileno(self) -> int:
        """What to poll."""

    def drain(self) -> None:
        """Take note of a ring, so that the descriptor is quiet again. There may be none left: others listen too."""

    def patience(self) -> float:
        """Seconds that it may be silent before it is time to look again all the same. Asked before each sleep."""


class Wakeup(abc.ABC):
    """How producers wake idle workers of one database."""

    @abc.abstractmethod
    def ring(self, queue: str, n: int = 1) -> None:
        """Wake up to `n` who listen. Never blocks and never fails: that nobody listens is no error."""

    @abc.abstractmethod
    def listen(self, queue: str) -> AbstractContextManager[Bell]:
        """A bell, from now until the end of the block."""

    def close(self) -> None:  # noqa: B027  most hold nothing open
        """Let go of connections. The next use opens new ones."""

    def announce(self, transaction: Transaction, queue: str, n: int = 1) -> None:
        """Ring once this transaction is committed."""
        transaction.after_commit(lambda: self.ring(queue, n))

    #: what wakes those who listen to the queue `told`, as a part of a statement
    notification: sa.ColumnElement[Any] | None = None

    def is_due(self, queue: str) -> bool:
        """Whether such a part is wanted now."""
        return False

    def told(self, queue: str) -> None:  # noqa: B027  most have no such thing
        """Note that such a part was committed."""


class FifoWakeup(Wakeup):
    """FIFOs beside a database file. Where there can be none, a bell is silent and its listener's own poll has to do."""

    def __init__(self, database: str) -> None:
        self._database = database

    def path(self, queue: str) -> str:
        """The FIFO of that queue."""
        name = quote(queue, safe="")
        name = name if len(name) <= LONGEST else hashlib.sha256(queue.encode()).hexdigest()
        return f"{self._database}-wake-{name}"

    def ring(self, queue: str, n: int = 1) -> None:
        with contextlib.suppress(OSError), _opened(self.path(queue), os.O_WRONLY) as fifo:
            os.write(fifo, b"!" * min(n, MOST_WOKEN))

    @contextmanager
    def listen(self, queue: str) -> Iterator[Bell]:
        with contextlib.ExitStack() as stack:
            yield self._bell(queue, stack)

    def _bell(self, queue: str, stack: contextlib.ExitStack) -> Bell:
        path = self.path(queue)
        try:
            self._create(path)
            reader = stack.enter_context(_opened(path, os.O_RDONLY))
            # A writer of our own: else the last producer's leaving would read as an end of file, again and again.
            stack.enter_context(_opened(path, os.O_WRONLY))
        except (OSError, AttributeError):
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            stack.callback(os.close, reader)
            stack.callback(os.close, writer)
        return _Descriptor(reader)

    def _create(self, path: str) -> None:
        try:
            os.mkfifo(path, 0o600)
        except FileExistsError:
            return
        share_like(path, database=self._database)


class _Descriptor:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def drain(self) -> None:
        # One byte is one message's: the others are for the others.
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 1)

    def patience(self) -> float:
        return math.inf


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    try:
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a FIFO")
        yield descriptor
    finally:
        os.close(descriptor)


class Patience:
    """How long to sleep between looks: short at first, longer the longer nothing comes."""

    def __init__(self, shortest: float = 0.02, longest: float = 1.0) -> None:
        self._next, self._longest = shortest, longest

    def next(self) -> float:
        """Seconds until the next look."""
        now, self._next = self._next, min(self._longest, self._next * 1.5)
        return now


class PolledWakeup(Wakeup):
    """No way to wake anybody: whoever waits looks ever so often."""

    def ring(self, queue: str, n: int = 1) -> None:
        pass

    @contextmanager
    def listen(self, queue: str) -> Iterator[Bell]:
        reader, writer = os.pipe()
        try:
            yield _Silent(reader)
        finally:
            os.close(reader)
            os.close(writer)

    def announce(self, transaction: Transaction, queue: str, n: int = 1) -> None:
        pass


class _Silent(_Descriptor):
    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._patience = Patience()

    def patience(self) -> float:
        return self._patience.next()
