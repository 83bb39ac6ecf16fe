"""Waiting until a master is gone."""

from __future__ import annotations

import os
import select
from math import ceil
from types import TracebackType
from typing import Self

from supervisor.client import EXIT_NOT_RUNNING, Connection, Unreachable


class Departure:
    """The end of the master at the other end of `connection`; made while it still lives."""

    def __init__(self, connection: Connection) -> None:
        self._path = connection.path
        self._poll = select.poll()
        self._fd = _process(connection.pid)
        if self._fd >= 0:
            self._poll.register(self._fd, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def wait(self, timeout: float) -> bool:
        """Wait for it, `timeout` seconds at the most; whether it is gone."""
        gone = bool(self._poll.poll(ceil(timeout * 1000)))
        return gone or (self._fd < 0 and not _listens(self._path))


def _process(pid: int) -> int:
    """A descriptor that is ready when the process has ended; -1 where the kernel or a container does not tell."""
    try:
        return os.pidfd_open(pid) if pid and hasattr(os, "pidfd_open") else -1
    except OSError:
        return -1


def _listens(path: str) -> bool:
    try:
        with Connection(path):
            return True
    except Unreachable as error:
        return error.exit_code != EXIT_NOT_RUNNING
