"""The control socket's file: made with mode 0600, taken over from the dead, never from the living."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from supervisor.folders import make_folder
from taskqueue.errors import ConfigurationError, TaskQueueError

if sys.platform != "win32":
    import fcntl

#: bytes of a path that the kernel takes
LONGEST_PATH = 107 if sys.platform == "linux" else 103
BACKLOG = 128
#: to lock its folder, within a second
TRIES = 50
_SETTING = "[supervisor] control_socket"


class Address:
    """A path that a socket listens at, while this process has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: device and inode of our file: another may stand there by now
        self._ours: tuple[int, int] | None = None
        self._pid = 0

    def listen(self) -> socket.socket:
        """A socket that listens and does not block.

        Raises ConfigurationError where there can be none, TaskQueueError where another supervisor has it.
        """
        self.check()
        try:
            make_folder(self.path.parent)
            with _alone_in(self.path.parent):
                self._make_way()
                return self._bound()
        except OSError as error:
            raise ConfigurationError(
                f"{self.path}: no socket can be made there ({error.strerror}); give this user write access to "
                f"{self.path.parent}, or set {_SETTING} to another path"
            ) from error

    def check(self) -> None:
        """Raises ConfigurationError if no socket can ever have this path."""
        length = len(os.fsencode(self.path))
        if length > LONGEST_PATH:
            raise ConfigurationError(
                f"{self.path}: the path has {length} bytes, and the system takes {LONGEST_PATH} for a socket; "
                f"set {_SETTING} to a shorter one, such as /run/taskqueue/supervisor.sock"
            )

    def remove(self) -> None:
        """Remove the file, if it is still the one that this very process made."""
        with contextlib.suppress(OSError):
            if self._pid == os.getpid() and self._ours == _identity(self.path):
                self.path.unlink()
        self._ours = None

    def _make_way(self) -> None:
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise ConfigurationError(
                f"{self.path} is there and is no socket; move it away, or set {_SETTING} to another path"
            )
        if _answers(self.path):
            raise TaskQueueError(
                f"{self.path}: another supervisor listens there; stop it first (supervisor stop), or set {_SETTING} "
                "to another path"
            )
        self.path.unlink()

    def _bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The file has its mode from its first moment: nobody can open it between `bind` and a `chmod`.
        before = os.umask(0o177)
        try:
            listener.bind(str(self.path))
            self._ours, self._pid = _identity(self.path), os.getpid()
            listener.listen(BACKLOG)
            listener.settimeout(0)
        except BaseException:
            listener.close()
            raise
        finally:
            os.umask(before)
        return listener


def _answers(path: Path) -> bool:
    """Whether somebody listens there. A full backlog is an answer, too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True
    return True


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """No two supervisors look at a dead one's file and replace it at the same moment.

    A lock on the folder leaves no file behind. It is held for a few system calls; who has it for longer is none of us.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _ in range(TRIES):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                select.select([], [], [], 1 / TRIES)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(fd)
