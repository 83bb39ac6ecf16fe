"""Raising into a running task: the one exception to "signal handlers do nothing".

A signal to the main thread is the only way that also ends a `time.sleep` or a blocking `recv`; an asynchronous
exception would wait for the next bytecode. The handler raises only while `running` says that the task's own code runs
(R17), and only for the run that was meant. Where the task is inside a step of our stores, `SHIELD` keeps the exception
until that step has ended. SIGURG, because it is ignored by default and nothing else wants it.

A coroutine is cancelled on its loop instead. A child that the task forks is never interrupted, and ends with the task.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import weakref
from types import FrameType

from taskqueue.errors import TaskInterrupt
from taskqueue.shield import SHIELD
from taskqueue.worker.forked import end_child

_installed: weakref.WeakSet[Interrupter] = weakref.WeakSet()

SIGNAL = getattr(signal, "SIGURG", None)


class Interrupter:
    """Raises into the task that the main thread runs: `with interrupter as run:` stands round its code."""

    def __init__(self) -> None:
        self._run = 0
        self._running = False
        self._forked = False
        self._wanted: tuple[int, TaskInterrupt] | None = None
        self._coroutine: tuple[asyncio.AbstractEventLoop, asyncio.Task[object]] | None = None

    def install(self) -> None:
        """Set the handler; main thread only."""
        if SIGNAL is not None and threading.current_thread() is threading.main_thread():
            signal.signal(SIGNAL, self._handle)
            _installed.add(self)

    # A class' own `with`, and no generator, which takes three times as long.

    def __enter__(self) -> int:
        """The task's own code runs inside of the block; the run's number."""
        self._run += 1
        self._wanted = self._coroutine = None
        self._running = True
        return self._run

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._running = False
        self._coroutine = None
        if self._forked:
            end_child(error)
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

    def after_fork_in_child(self) -> None:
        """Only the parent's task is meant; and nothing of the worker may run behind the child's."""
        self._running, self._forked = False, True
        if SIGNAL is not None and signal.getsignal(SIGNAL) == self._handle:
            signal.signal(SIGNAL, signal.SIG_DFL)


def _main_thread() -> int:
    ident = threading.main_thread().ident
    assert ident is not None
    return ident


def _after_fork_in_child() -> None:
    for interrupter in list(_installed):
        interrupter.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
