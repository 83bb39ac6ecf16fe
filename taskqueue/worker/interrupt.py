"""Raising into a running task: the one exception to "signal handlers do nothing".

A signal to the main thread is the only way that also ends a `time.sleep` or a blocking `recv`; an asynchronous
exception would wait for the next bytecode. The handler raises only while `running` says that the task's own code runs
(R17), and only for the run that was meant. Where the task is inside a step of our stores, `SHIELD` keeps the exception
until that step has ended. SIGURG, because it is ignored by default and nothing else wants it.

A coroutine is cancelled on its loop instead.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from taskqueue.errors import TaskInterrupt
from taskqueue.shield import SHIELD

SIGNAL = getattr(signal, "SIGURG", None)


class Interrupter:
    """Raises into the task that the main thread runs."""

    def __init__(self) -> None:
        self._run = 0
        self._running = False
        self._wanted: tuple[int, TaskInterrupt] | None = None
        self._coroutine: tuple[asyncio.AbstractEventLoop, asyncio.Task[object]] | None = None

    def install(self) -> None:
        """Set the handler; main thread only."""
        if SIGNAL is not None and threading.current_thread() is threading.main_thread():
            signal.signal(SIGNAL, self._handle)

    @contextmanager
    def task(self) -> Iterator[int]:
        """The task's own code runs inside; yields the run's number."""
        self._run += 1
        self._wanted = None
        try:
            self._running = True
            yield self._run
        finally:
            self._running = False
            self._coroutine = None
            if (reason := self.reason) is not None:
                SHIELD.drop(reason)

    def on_loop(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[object]) -> None:
        """The present run is this coroutine: cancel it rather than raise."""
        self._coroutine = (loop, task)
        if self._wanted is not None:
            task.cancel()

    @property
    def run(self) -> int:
        """Number of the present (or last) run."""
        return self._run

    @property
    def reason(self) -> TaskInterrupt | None:
        """What the present run was interrupted with."""
        return self._wanted[1] if self._wanted and self._wanted[0] == self._run else None

    def interrupt(self, run: int, reason: TaskInterrupt) -> None:
        """Raise `reason` inside that run, if it is still going on. From any thread."""
        if run != self._run or not self._running or self._wanted is not None:
            return
        self._wanted = (run, reason)
        coroutine = self._coroutine
        if coroutine is not None:
            coroutine[0].call_soon_threadsafe(coroutine[1].cancel)
        elif SIGNAL is not None:
            signal.pthread_kill(_main_thread(), SIGNAL)

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        reason = self.reason
        if reason is not None and self._running and self._coroutine is None:
            self._running = False
            if not SHIELD.depth:
                raise reason
            SHIELD.pending = reason


def _main_thread() -> int:
    ident = threading.main_thread().ident
    assert ident is not None
    return ident
