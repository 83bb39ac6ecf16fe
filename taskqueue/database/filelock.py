"""Turns between the writers of one SQLite file, in threads and processes, by `flock` (R13).

SQLite itself lets waiting writers sleep and try again, so that one tight writer keeps all others out. Here whoever
waits sleeps in the kernel, and two locks make the turns fair: a writer first queues up (`<file>-lock`), then waits for
its turn (`<file>-turn`), and only then lets the next one queue up. So who has just written stands behind who waited.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time

from taskqueue.database.sidefile import open_side_file

if sys.platform != "win32":
    import fcntl

LOOKS, MOMENT = 20, 0.0001

_descriptors: set[int] = set()


def _close_inherited() -> None:
    # A forked child's copies would keep a lock alive after its owner's death. Closing them does not unlock them.
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)


class FileLock:
    """The right to write to a database, for one connection. Not reentrant; one thread at a time."""

    def __init__(self, database: str) -> None:
        self.held = False
        self._asked = False
        self._queue = _Gate(f"{database}-lock", database)
        self._turn = _Gate(f"{database}-turn", database)

    def acquire(self, timeout: float) -> bool:
        """Wait for our turn, `timeout` seconds at most; False if it did not come."""
        deadline = time.monotonic() + timeout
        self._asked = True
        if not self._queue.acquire(deadline):
            return False
        try:
            # Only one waits here, and most steps are short: to look again is cheaper than a thread, and no less fair.
            self.held = self._turn.acquire(deadline, looks=LOOKS)
        finally:
            self._queue.release()
        return self.held

    def release(self) -> None:
        """Give the turn to the next; harmless if it is not ours."""
        # Not by `held`: an exception may have come between the lock and the note that it is held.
        if self._asked:
            self._turn.release()
            self._queue.release()
            self.held = self._asked = False

    def close(self) -> None:
        """Let go of everything."""
        self._queue.close()
        self._turn.close()


class _Gate:
    """One lockable descriptor of a side file. Two gates exclude each other, also within one process."""

    def __init__(self, path: str, database: str) -> None:
        self._path, self._database = path, database
        self._descriptor = self._open()

    def acquire(self, deadline: float, *, looks: int = 1) -> bool:
        """Look so many times, a moment apart, and then wait until `deadline`."""
        for look in range(looks):
            if self._free():
                return True
            if look:
                select.select((), (), (), MOMENT)
        return self._wait(deadline - time.monotonic())

    def _free(self) -> bool:
        if sys.platform == "win32":
            return True  # SQLite's own locking has to do.
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        if self._descriptor in _descriptors:
            _unlock(self._descriptor)

    def close(self) -> None:
        _close(self._descriptor)

    def _open(self) -> int:
        descriptor = open_side_file(self._path, database=self._database)
        _descriptors.add(descriptor)
        return descriptor

    def _wait(self, timeout: float) -> bool:
        if timeout <= 0:
            return False
        waiter = _Waiter(self._descriptor)
        try:
            waiter.start()
            if waiter.wait(timeout):
                return True
        except BaseException:
            if not self._give_up(waiter):
                self.release()
            raise
        return not self._give_up(waiter)

    def _give_up(self, waiter: _Waiter) -> bool:
        """Leave the descriptor to its waiter; False if the lock came first and is ours after all."""
        given_up = waiter.give_up()
        if given_up:
            self._descriptor = self._open()
        return given_up


class _Waiter:
    """A thread that blocks in `flock` for us, because `flock` knows no time limit."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._answer = threading.Lock()
        self._answer.acquire()
        self._decision = threading.Lock()
        self._locked = self._given_up = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="taskqueue-lock", daemon=True).start()

    def wait(self, timeout: float) -> bool:
        return self._answer.acquire(timeout=timeout)

    def give_up(self) -> bool:
        with self._decision:
            self._given_up = not self._locked
            return self._given_up

    def _run(self) -> None:
        if sys.platform != "win32":
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._decision:
            self._locked = not self._given_up
        if self._locked:
            self._answer.release()
        else:
            # Explicitly: a forked process may have a copy of the descriptor.
            _unlock(self._descriptor)
            _close(self._descriptor)


def _unlock(descriptor: int) -> None:
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _close(descriptor: int) -> None:
    if descriptor in _descriptors:
        _descriptors.discard(descriptor)
        os.close(descriptor)
