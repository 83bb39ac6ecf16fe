"""What the worker was told: stop, stop now, pause, resume; and the pipe that wakes the lifeline.

Signal handlers do nothing. `signal.set_wakeup_fd` puts the signal's number into the pipe; the lifeline reads it and
acts, while the task thread goes on with its task. The kernel does not order signals: what counts is the state that
they leave.

All of it is this process' own. A child that a task forks gets its signals back: else a TERM to the child would be lost
on it, and stop the worker by the shared pipe.
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import signal
import threading
import time
import weakref
from types import FrameType

#: a stop that comes so soon after another, in seconds, is the same one: some send it to the process and to its group
SAME = 0.25


_installed: weakref.WeakSet[Orders] = weakref.WeakSet()


class Stop(enum.IntEnum):
    """How far the worker was told to stop."""

    NO = 0
    #: end the current task, then leave
    GRACEFUL = 1
    #: leave now
    NOW = 2


class Orders:
    """The worker's orders and its wake-up pipe."""

    STOPPING = ("SIGTERM", "SIGINT", "SIGQUIT")
    PAUSING = ("SIGUSR2", "SIGCONT")

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        for fd in (self._read, self._write):
            os.set_blocking(fd, False)
        self.stop = Stop.NO
        #: USR2 was sent to this process, and no CONT since
        self.paused_here = False
        #: whoever stands above it has paused it
        self.paused_above = False
        #: when the first TERM or INT came; a second one means now
        self._insisted_at: float | None = None
        self._previous: dict[int, object] = {}
        self._numbers = {getattr(signal, name): name for name in self.STOPPING + self.PAUSING if hasattr(signal, name)}

    @property
    def fd(self) -> int:
        """Readable when something happened."""
        return self._read

    @property
    def signals(self) -> set[int]:
        """The numbers of those that were taken over."""
        return set(self._previous)

    @property
    def paused(self) -> bool:
        """Nothing may be started (P6): each of the two is set and cleared on its own."""
        return self.paused_here or self.paused_above

    def install(self) -> None:
        """Take the signals over; main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return
        # The pipe first: what a handler that does nothing took before would be lost.
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in self._numbers:
            self._previous[number] = signal.signal(number, _do_nothing)
        # A master has blocked what would have ended us before we could hear it.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)
        _installed.add(self)

    def restore(self, *, ending: bool = False) -> None:
        """Give the signals back and close the pipe. From then on `poke` and `wait` do no harm.

        `ending`: the process ends now, in good order; a stop that comes still is no news, and must not make it a death.
        """
        _installed.discard(self)
        if self._previous:
            signal.set_wakeup_fd(-1)
            for number, handler in self._previous.items():
                signal.signal(number, signal.SIG_IGN if ending else handler)  # type: ignore[arg-type]  # as it was
            self._previous = {}
        ends, self._read, self._write = (self._read, self._write), -1, -1
        for fd in ends:
            if fd >= 0:
                os.close(fd)

    def poke(self) -> None:
        """Wake the lifeline. From any thread."""
        # Full: it is awake already. Closed: it is gone.
        with contextlib.suppress(OSError):
            os.write(self._write, b"\0")

    def wait(self, seconds: float) -> None:
        """Sleep until poked or told something."""
        select.select([self._read] if self._read >= 0 else [], [], [], max(0.0, seconds))

    def obey(self) -> list[str]:
        """Read the pipe and follow it; the names of the signals that came."""
        if self._read < 0:
            return []
        try:
            raw = os.read(self._read, 65536)
        except BlockingIOError:
            return []
        names = [self._numbers[number] for number in raw if number in self._numbers]
        for name in names:
            self._follow(name)
        return names

    def _follow(self, name: str) -> None:
        if name in self.STOPPING:
            self._stop(name)
        elif name == "SIGUSR2":
            self.paused_here = True
        elif name == "SIGCONT":
            self.paused_here = False

    def _stop(self, name: str) -> None:
        self.stop = max(self.stop, Stop.GRACEFUL)
        if name == "SIGQUIT":
            return  # however often: only TERM and INT mean "now" (P5)
        now = time.monotonic()
        if self._insisted_at is None:
            self._insisted_at = now
        elif now > self._insisted_at + SAME:
            self.stop = Stop.NOW


def _do_nothing(_signal: int, _frame: FrameType | None) -> None:
    """The pipe has it."""


# Forks. What is sent to a child before it has its signals back (`Process.terminate` right after `start`) must wait, or
# it would still go into the pipe.

_masks: dict[int, set[int]] = {}


def _before_fork() -> None:
    if _installed:
        # Kept before it changes: a task may be interrupted in between.
        _masks[threading.get_ident()] = set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        signal.pthread_sigmask(signal.SIG_BLOCK, {number for orders in list(_installed) for number in orders.signals})


def _after_fork_in_child() -> None:
    for orders in list(_installed):
        orders.restore()
    _unblock()
    _masks.clear()


def _unblock() -> None:
    mask = _masks.pop(threading.get_ident(), None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_unblock, after_in_child=_after_fork_in_child)
