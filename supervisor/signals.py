"""Signals: a handler does nothing; the kernel's order of arrival stands in a pipe, and the loop acts.

A standard signal that is pending already is not queued again, and what waits behind a mask comes in the order of its
number, not of its sending: after a fork, during which all are masked, USR2 and CONT together mean nothing certain. Then
pausing wins, because nothing can go wrong by it, and the log says so.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger(__name__)

HEARD = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR2,
    signal.SIGCONT,
    signal.SIGCHLD,
)
#: whose default is to end the process, and which mean nothing to us
IGNORED = (signal.SIGUSR1, signal.SIGPIPE)
_FOR_A_FLEET = {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
_UNCERTAIN = {signal.SIGUSR2, signal.SIGCONT}


class Signals:
    """The master's signals. `fd` is readable when one came."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        for fd in (self._read, self._write):
            os.set_blocking(fd, False)
        self._before: dict[int, object] = {}
        self._both = False

    @property
    def fd(self) -> int:
        """Readable when a signal came."""
        return self._read

    @property
    def fds(self) -> tuple[int, int]:
        """What a child closes."""
        return self._read, self._write

    def hold(self) -> None:
        """Let what is meant for a whole fleet wait until `install`: by default it ends who still imports modules."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_A_FLEET)

    def install(self) -> None:
        """Take them over, and hear what waited; main thread only."""
        # The pipe first: what a handler that does nothing took before would be lost.
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _do_nothing) for number in HEARD}
        self._before |= {number: signal.signal(number, signal.SIG_IGN) for number in IGNORED}
        # Whoever started us may have had them blocked, too.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*HEARD, *IGNORED})

    def restore(self) -> None:
        """Give them back."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as signal.signal gave it
        for fd in self.fds:
            os.close(fd)

    def heard(self) -> list[signal.Signals]:
        """Those that came, in order, each once for each time that the kernel delivered it."""
        try:
            raw = os.read(self._read, 65536)
        except BlockingIOError:
            return []
        came = [signal.Signals(number) for number in raw if number in HEARD]
        if self._both:
            self._both = False
            log.warning("USR2 and CONT came at once, and nobody can tell which was the last: paused")
            came.append(signal.SIGUSR2)
        return came

    @contextmanager
    def masked(self) -> Iterator[None]:
        """Inside, none arrives: a signal between a fork and the child's own handlers would be lost in a copy."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            yield
        finally:
            self._both |= signal.sigpending() >= _UNCERTAIN
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def reset_in_child(mask: set[int]) -> None:
    """In a forked child, before it has handlers of its own (`taskqueue.worker.orders`).

    TERM ends it, since it holds nothing yet. What an operator sends to a whole fleet harms none that is still booting,
    and pausing waits. A handler that does nothing, unlike a signal that is ignored, is not handed on to programs that
    tasks start.
    """
    signal.set_wakeup_fd(-1)
    for number in HEARD:
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, _do_nothing)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask | {signal.SIGUSR2})


def _do_nothing(_signal: int, _frame: FrameType | None) -> None:
    """The pipe has it."""
