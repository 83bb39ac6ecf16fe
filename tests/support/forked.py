"""Processes that start at once: forked from one that has imported what they need (`tests.support.nursery`).

Two thirds of the time to start one of our commands is imports, and the tests start a thousand. What is forked is a
process like another one, with its number, signals, streams and exit status; only the imports are not its own. So tests
that are about starting have fresh interpreters, as those with the marker `fresh` have, and all of `make soak`.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tests.support.nursery import NUMBER, Order

ROOT = Path(__file__).parents[2]
#: how the names of variables begin that an interpreter, or a library, looks at when it starts
_AT_ITS_START = ("PYTHON", "LD_", "LC_", "LANG")
#: macOS has no sockets that keep messages apart, and libraries that do not like to be forked
CAN_FORK = sys.platform == "linux"
_lock = threading.Lock()


class Preference:
    """Whether the present test's processes are interpreters of their own."""

    fresh = False


class Forked:
    """One such process, as `subprocess.Popen` shows it."""

    def __init__(self, order: Order, streams: Sequence[int]) -> None:
        self._answers, theirs = os.pipe()
        try:
            with _lock:
                socket.send_fds(_nursery(), [msgspec.json.encode(order)], [*streams, theirs])
        finally:
            os.close(theirs)
        self.returncode: int | None = None
        self.pid = self._answer(60)

    def _answer(self, seconds: float | None) -> int:
        if not select.select([self._answers], [], [], seconds)[0]:
            raise subprocess.TimeoutExpired("a forked process", seconds or 0)
        if not (answer := os.read(self._answers, NUMBER.size)):
            raise RuntimeError("the process that forks for the tests has ended")
        return int(NUMBER.unpack(answer)[0])

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(self._answer(timeout))
            os.close(self._answers)
        return self.returncode

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


Started = Forked | subprocess.Popen[Any]


def start(
    module: str,
    *arguments: str,
    environment: Mapping[str, str],
    out: int,
    err: int,
    cwd: Path | None = None,
    new_session: bool = False,
) -> Started:
    """Start `python -m module arguments`, forked unless it has to be fresh."""
    order = Order(module, list(arguments), str(cwd or Path.cwd()), dict(environment), new_session, _umask())
    if Preference.fresh or not CAN_FORK or _of_interpreters(environment) != _of_interpreters(_environment()):
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=cwd,
            env=order.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=new_session,
        )
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        return Forked(order, [null, out, err])
    finally:
        os.close(null)


def _umask() -> int:
    """This process's; to look at it one has to change it."""
    os.umask(present := os.umask(0o077))
    return present


def _of_interpreters(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_AT_ITS_START)}


def run(
    module: str, *arguments: str, environment: Mapping[str, str], cwd: Path | None = None, timeout: float = 30
) -> tuple[int, str, str]:
    """Run it to its end: its exit code, and what it wrote."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(module, *arguments, environment=environment, out=out.fileno(), err=err.fileno(), cwd=cwd)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        return process.returncode, *(os.pread(file.fileno(), 1 << 24, 0).decode() for file in (out, err))


@cache
def _environment() -> dict[str, str]:
    return dict(os.environ, PYTHONPATH=str(ROOT))


@cache
def _nursery() -> socket.socket:
    """The socket of this process's own; it ends with this process, however that ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.support.nursery", str(theirs.fileno())]
    how = {"cwd": ROOT, "env": _environment(), "stdin": subprocess.DEVNULL, "start_new_session": True}
    nursery = subprocess.Popen(command, pass_fds=[theirs.fileno()], **how)
    theirs.close()
    atexit.register(_end, ours, nursery, os.getpid())
    return ours


def _end(ours: socket.socket, nursery: subprocess.Popen[bytes], starter: int) -> None:
    if os.getpid() == starter:
        ours.close()
        nursery.wait()
