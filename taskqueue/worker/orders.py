"""What the worker was told: stop, stop now, pause, resume; and the pipe that wakes the lifeline.

Signal handlers do nothing. `signal.set_wakeup_fd` puts the signal's number into the pipe; the lifeline reads it and
acts, while the task thread goes on with its task. The kernel does not order signals: what counts is the state that
they leave.
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import signal
import threading
import time
from types import FrameType

#: a stop that comes so soon after another, in seconds, is the same one: some send it to the process and to its group
SAME = 0.25


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
        self.paused = False
        #: when the first TERM or INT came; a second one means now
        self._insisted_at: float | None = None
        self._previous: dict[int, object] = {}
        self._numbers = {getattr(signal, name): name for name in self.STOPPING + self.PAUSING if hasattr(signal, name)}

    @property
    def fd(self) -> int:
        """Readable when something happened."""
        return self._read

    def install(self) -> None:
        """Take the signals over; main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self._numbers:
            self._previous[number] = signal.signal(number, _do_nothing)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def restore(self) -> None:
        """Give the signals back and close the pipe."""
        if self._previous:
            signal.set_wakeup_fd(-1)
            for number, handler in self._previous.items():
                signal.signal(number, handler)  # type: ignore[arg-type]  # as signal.signal gave it
        os.close(self._read)
        os.close(self._write)

    def poke(self) -> None:
        """Wake the lifeline. From any thread."""
        # Full: it is awake already. Closed: it is gone.
        with contextlib.suppress(OSError):
            os.write(self._write, b"\0")

    def wait(self, seconds: float) -> None:
        """Sleep until poked or told something."""
        select.select([self._read], [], [], max(0.0, seconds))

    def obey(self) -> list[str]:
        """Read the pipe and follow it; the names of the signals that came."""
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
            self.paused = True
        elif name == "SIGCONT":
            self.paused = False

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
