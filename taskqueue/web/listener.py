"""The socket that the web server listens at: an address, or a file that is its owner's alone."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from pathlib import Path

from taskqueue.errors import TaskQueueError
from taskqueue.settings.binding import Bind

BACKLOG = 128
#: seconds between two attempts
PAUSE = 0.05


class Listener:
    """A listening socket. Its file, if it has one, goes with it."""

    def __init__(self, bind: Bind, made: socket.socket) -> None:
        self.socket = made
        self._bind = bind
        self._ours = _identity(bind.path) if bind.path is not None else None

    @property
    def name(self) -> str:
        """Where it can be reached: `http://127.0.0.1:8321`, `unix:/run/taskqueue.sock`."""
        if self._bind.path is not None:
            return str(self._bind)
        return f"http://{self._bind._replace(port=self.socket.getsockname()[1])}"

    def close(self) -> None:
        """Listen no more. A file that another server has put there by now stays."""
        self.socket.close()
        with contextlib.suppress(OSError):
            if self._bind.path is not None and self._ours == _identity(self._bind.path):
                self._bind.path.unlink()


def listen(bind: Bind, *, patience: float = 0.0) -> Listener:
    """Listen there. Where another listens, try again for `patience` seconds: it may be about to leave.

    Raises TaskQueueError if it cannot be had.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return Listener(bind, _unix(bind.path) if bind.path is not None else _tcp(bind))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= until:
                raise TaskQueueError(f"cannot listen at {bind}: {_in_words(error)}") from None
        time.sleep(PAUSE)  # noqa: TID251  # nobody tells when an address is free


def _tcp(bind: Bind) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    return socket.create_server((bind.host, bind.port), family=family, backlog=BACKLOG)


def _unix(path: Path) -> socket.socket:
    """Made beside its place and moved there, so that it is never anybody else's to connect to."""
    if path.exists() and not stat.S_ISSOCK(path.lstat().st_mode):
        raise TaskQueueError(f"{path} is there and is no socket: move it away, or choose another [web] bind")
    if _answers(path):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        beside.unlink(missing_ok=True)
        made.bind(str(beside))
        beside.chmod(0o600)
        made.listen(BACKLOG)
        beside.rename(path)
    except BaseException:
        made.close()
        beside.unlink(missing_ok=True)
        raise
    return made


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(str(path))
        except OSError:
            return False
        return True


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _in_words(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another server listens there; end it, or choose another [web] bind"
    return f"{error.strerror or error}; choose another [web] bind"
