"""Forking a child, and what it does before anything else.

The child shares the master's memory, and nothing that is open: it closes what is the master's or a sibling's, leads a
process group of its own (so that Ctrl-C reaches the master only, and a dead worker's children can be found), and never
comes back: it leaves by `os._exit`, since the master's clean-up is not its own.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn

from supervisor import notify
from supervisor.child import Child
from supervisor.scoreboard import ROWS, Row, Scoreboard
from supervisor.signals import Signals, reset_in_child
from taskqueue.clock import SystemClock
from taskqueue.errors import EXIT_FAILED, TaskQueueError
from taskqueue.worker.place import Place, Wanted

log = logging.getLogger(__name__)

#: what a child does with its place; the exit code
Duty = Callable[[Place], int]


class CannotFork(TaskQueueError):
    """The system has no room for another process."""


class Spawner:
    """Forks children that have this scoreboard in common; each closes what `inherited` says."""

    def __init__(self, board: Scoreboard, signals: Signals, *, inherited: Callable[[], Iterable[int]]) -> None:
        self._board = board
        self._signals = signals
        self._inherited = inherited

    def spawn(
        self, duty: Duty, *, pool: str, name: str, generation: int, paused: bool, paused_by_signal: bool
    ) -> Child:
        """Fork a child for the slot of that name. Raises CannotFork."""
        row = self._board.take(name, paused_by_signal=paused_by_signal)
        if row is None:
            raise CannotFork(f"no more than {ROWS:,} processes can be supervised; lower `workers`")
        row.paused = paused
        try:
            return self._spawn(duty, row, pool=pool, name=name, generation=generation)
        except OSError as error:
            self._board.give_back(row)
            raise CannotFork(f"{name} cannot be forked: {error.strerror}") from error

    def _spawn(self, duty: Duty, row: Row, *, pool: str, name: str, generation: int) -> Child:
        opened = [*os.pipe()]
        try:
            opened.append(_file_for_stacks())
            read, write, stacks = opened
            os.set_blocking(read, False)
            os.set_blocking(write, False)
            place = Place(
                name=name,
                scorecard=row.scorecard,
                life=read,
                stacks=stacks,
                block=row.block,
                lines=row.lines,
                wanted=lambda: Wanted(paused=row.paused, paused_queues=self._board.pauses.read()),
                ring=_ring(os.getpid()),
                title=lambda doing: _title(name, doing),
            )
            pid = self._fork(duty, place, write)
        except BaseException:
            for fd in opened:
                os.close(fd)
            raise
        os.close(read)
        with suppress(OSError):  # the child does so too: whoever is first
            os.setpgid(pid, pid)
        started = SystemClock().monotonic()
        return Child(pid, row, pool=pool, name=name, generation=generation, life=write, stacks=stacks, started=started)

    def _fork(self, duty: Duty, place: Place, write: int) -> int:
        inherited = [*self._inherited(), write]
        mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        with self._signals.masked():
            pid = os.fork()
            if pid == 0:
                _live(duty, place, inherited=inherited, mask=mask)
        return pid


def _live(duty: Duty, place: Place, *, inherited: Iterable[int], mask: set[int]) -> NoReturn:
    code = EXIT_FAILED
    try:
        os.setpgid(0, 0)
        for fd in inherited:
            os.close(fd)
        _no_terminal()
        faulthandler.enable(place.stacks)
        for name in notify.VARIABLES:
            os.environ.pop(name, None)  # or a task that speaks to systemd would speak for us
        reset_in_child(mask)
        _title(place.name, "starting")
        code = duty(place)
    except TaskQueueError as error:
        code = error.exit_code
        log.error("%s", error, extra={"slot": place.name})
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else EXIT_FAILED
    except BaseException:
        log.critical("a child broke", exc_info=True, extra={"slot": place.name})
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code & 0xFF)


def _ring(master: int) -> Callable[[], None]:
    """Wake the master: to it, one more child that may have changed is one more reason to look."""

    def ring() -> None:
        if os.getppid() == master:
            os.kill(master, signal.SIGCHLD)

    return ring


def _no_terminal() -> None:
    """A task that reads its standard input must not stop, or take what is typed to the master."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _file_for_stacks() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("stacks", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _title(name: str, doing: str) -> None:
    import setproctitle  # in the child only: before a fork it has crashed programs on macOS

    setproctitle.setproctitle(f"taskqueue {name}: {doing}")
