"""Runs a program, and runs it anew whenever it is told that something changed: the loop behind `supervisor run --dev`.

One loop reads one pipe. Signals and the watcher of files write into it: a signal its number, a change a zero. The
program has a process group of its own, so that Ctrl-C in a terminal reaches it once, through us, and not twice.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from supervisor import tether

#: no signal has this number
CHANGED = 0
LEAVE = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP})
PASSED_ON = frozenset({signal.SIGUSR2, signal.SIGCONT})
_HEARD = (*LEAVE, *PASSED_ON, signal.SIGCHLD)

Changed = Callable[[], None]
#: calls what it is given, from any thread, when something changed, as long as the context lasts
Watch = Callable[[Changed], Any]


class Reloader:
    """The program of one developer. `command` is asked for it at each start; None: there is nothing to start yet.

    `patience` is how many seconds the program has to leave; then it is killed. `say` tells the developer.
    """

    def __init__(
        self, command: Callable[[], Sequence[str] | None], *, patience: float, say: Callable[[str], None]
    ) -> None:
        self.command = command
        self.patience = patience
        self.say = say
        self.program: subprocess.Popen[bytes] | None = None
        self.killed_at: float | None = None
        #: ordered to leave, because something changed or because we leave
        self.reloading = self.leaving = False
        self.code: int | None = None

    def run(self, watch: Watch) -> int:
        """Run the program until it ends well, or until we are told to leave; its exit code."""
        with _heard() as (heard, wake), watch(lambda: _write(wake, CHANGED)):
            try:
                self._start()
                while self.code is None:
                    self._turn(heard)
            finally:
                self._end()
        return self.code

    def _turn(self, heard: int) -> None:
        remaining = None if self.killed_at is None else max(0.0, self.killed_at - time.monotonic())
        if not select.select([heard], [], [], remaining)[0]:
            self._kill()
            return
        for number in os.read(heard, 4096):
            self._hear(number)

    def _hear(self, number: int) -> None:
        if number == CHANGED:
            self._reload()
        elif number in LEAVE:
            self._leave(signal.SIGTERM if number == signal.SIGHUP else number)
        elif number in PASSED_ON:
            self._send(number)
        elif self.program is not None and self.program.poll() is not None:
            self._ended(self.program.returncode)

    def _start(self) -> None:
        command = self.command()
        if command is None:
            return
        # Without our input: a program of another group that reads from a terminal is stopped.
        self.program = subprocess.Popen(  # noqa: S603  # nosec B603  # the developer's own program
            tether.command(command), stdin=subprocess.DEVNULL, process_group=0
        )

    def _reload(self) -> None:
        if self.leaving or self.reloading:
            return
        if self.program is None:
            self._start()
            return
        self.say("something changed: starting anew")
        self.reloading = True
        self._order(signal.SIGTERM)

    def _leave(self, number: int) -> None:
        self.leaving = True
        if self.program is None:
            self.code = 0
        else:
            self._order(number)

    def _order(self, number: int) -> None:
        self.killed_at = time.monotonic() + self.patience
        self._send(number)

    def _send(self, number: int) -> None:
        if self.program is not None:
            self.program.send_signal(number)

    def _ended(self, code: int) -> None:
        self.program, self.killed_at = None, None
        if self.leaving or (code == 0 and not self.reloading):
            self.code = code if code >= 0 else 128 - code
        elif self.reloading:
            self.reloading = False
            self._start()
        else:
            self.say(f"ended with {code}; waiting for a change, Ctrl-C to leave")

    def _kill(self) -> None:
        self.killed_at = None
        if self.program is not None:
            self.say(f"did not leave within {self.patience:g} s: killing it")
            # Its whole group; not yet reaped, so that the number is still its own. It may be a zombie by now.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.program.pid, signal.SIGKILL)

    def _end(self) -> None:
        """Whatever happened: no process is left."""
        if self.program is None:
            return
        self.program.terminate()
        try:
            self.program.wait(self.patience)
        except subprocess.TimeoutExpired:
            self._kill()
            self.program.wait()


@contextmanager
def _heard() -> Iterator[tuple[int, int]]:
    """A pipe into which every signal of ours writes its number; its two ends."""
    heard, wake = os.pipe()
    os.set_blocking(wake, False)
    before = {number: signal.signal(number, lambda *_: None) for number in _HEARD}
    fd = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        yield heard, wake
    finally:
        signal.set_wakeup_fd(fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(heard)
        os.close(wake)


def _write(wake: int, number: int) -> None:
    # Full: the loop is woken already, and one change is as good as many.
    with suppress(BlockingIOError):
        os.write(wake, bytes([number]))
