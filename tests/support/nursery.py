"""The program that `tests.support.forked` forks from: it has imported all that our commands import, and does nothing.

Started with a socket. A request is JSON with four descriptors: the new process's standard streams, and a pipe for its
number and its exit status. The end of the socket is the end of this process; those that it forked go on, as they would
without their starter.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress

import msgspec
import setproctitle

#: what starts late in our commands, because not all of them need it
LATE = [
    "alembic.command",
    "alembic.config",
    "alembic.ddl",
    "boto3",
    "botocore.client",
    "psutil",
    "psycopg",
    "pymysql",
    "sqlalchemy.dialects.mysql",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "sqlite3",
]
#: that of a pipe's message: a process's number, or its status
NUMBER = struct.Struct("=q")


class Order(msgspec.Struct):
    """A process to be: `python -m module arguments`."""

    module: str
    arguments: list[str]
    cwd: str
    environment: dict[str, str]
    new_session: bool
    umask: int


def _import_all() -> None:
    for name in LATE:
        importlib.import_module(name)
    for package in ("taskqueue", "supervisor"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith(("__main__", ".plugin", ".env")) and ".versions" not in module.name:
                importlib.import_module(module.name)
    # It looks for room for titles once, and finds it only before the environment changes.
    setproctitle.getproctitle()
    gc.collect()
    gc.freeze()


class Nursery:
    """Forks as the socket says, and tells what became of it."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._children: dict[int, int] = {}
        self._waker, wakened = os.pipe()
        for fd in (self._waker, wakened):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wakened)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> Order | None:
        """Comes back in each new process, with what it is to be; and with None when it is over."""
        while True:
            for ready in select.select([self._requests, self._waker], [], [])[0]:
                if ready is self._requests:
                    data, fds, _, _ = socket.recv_fds(self._requests, 1 << 20, 4)
                    if not data:
                        return None
                    if (order := self._fork(msgspec.json.decode(data, type=Order), fds)) is not None:
                        return order
                else:
                    os.read(self._waker, 4096)
                    self._reap()

    def _fork(self, order: Order, fds: list[int]) -> Order | None:
        *streams, answers = fds
        pid = os.fork()
        if pid == 0:
            self._requests.detach()  # or it would one day close what has its number by then
            _become(order, streams)
            return order
        os.write(answers, NUMBER.pack(pid))
        self._children[pid] = answers
        for fd in streams:
            os.close(fd)
        return None

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                pid, status = found
                with suppress(BrokenPipeError):
                    os.write(self._children[pid], NUMBER.pack(status))
                os.close(self._children.pop(pid))


def _become(order: Order, streams: list[int]) -> None:
    """Be as if started anew."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for target, fd in enumerate(streams):
        os.dup2(fd, target)
    os.closerange(3, 1024)
    if order.new_session:
        os.setsid()
    os.umask(order.umask)
    os.chdir(order.cwd)
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    sys.orig_argv[:] = [sys.executable, "-m", order.module, *order.arguments]
    sys.argv[:] = ["-m", *order.arguments]
    sys.path[0] = order.cwd


if __name__ == "__main__":
    _import_all()
    if (ordered := Nursery(socket.socket(fileno=int(sys.argv[1]))).serve()) is not None:
        runpy.run_module(ordered.module, run_name="__main__", alter_sys=True)
