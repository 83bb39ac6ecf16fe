"""One master for each pidfile: a lock that ends with its process, not a number that another process may have by now."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from supervisor.folders import make_folder
from taskqueue.errors import TaskQueueError


class AlreadyRunning(TaskQueueError):
    """Another supervisor holds this pidfile."""


class Pidfile:
    """Locked and written by `take`; `fd` is for forked children to close, so that they do not hold the lock (P2)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = -1

    def take(self) -> None:
        """Raises AlreadyRunning, with the pid of who has it; TaskQueueError if it cannot be written."""
        try:
            make_folder(self.path.parent)
            self._take()
        except OSError as error:
            raise TaskQueueError(
                f"{self.path}: the pidfile cannot be written ({error.strerror}); give this user write access, or set "
                "[supervisor] pidfile"
            ) from error

    def _take(self) -> None:
        while self.fd < 0:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.read(fd, 32).decode(errors="replace").strip()
                os.close(fd)
                raise AlreadyRunning(
                    f"{self.path}: a supervisor runs already (pid {pid or 'unknown'}); stop it with `supervisor stop`, "
                    "or give this one a pidfile and a control_socket of its own"
                ) from None
            if self._is_still(fd):
                self.fd = fd
            else:
                os.close(fd)  # removed by one that left, between our two calls
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, f"{os.getpid()}\n".encode(), 0)

    def _is_still(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self.path.stat())
        except FileNotFoundError:
            return False

    def leave(self) -> None:
        """Remove it, if it is still ours, then unlock."""
        if self.fd >= 0:
            if self._is_still(self.fd):
                self.path.unlink(missing_ok=True)
            os.close(self.fd)
            self.fd = -1
