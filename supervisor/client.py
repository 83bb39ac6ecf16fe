"""Asking the master through its socket. Nothing but the standard library: a probe has no time to import more."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

EXIT_FAILED, EXIT_NOT_RUNNING = 1, 3
_CHUNK = 64 * 1024
#: pid, uid, gid
_CREDENTIALS = struct.Struct("3i")
_NOT_RUNNING = (FileNotFoundError, NotADirectoryError, ConnectionRefusedError)


class Unreachable(Exception):
    """There was no answer. The text says why and what to do."""

    def __init__(self, text: str, *, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Connection:
    """A connection to the master at the socket `path`. `timeout`, in seconds, is for each step.

    Raises Unreachable: its exit code is 3 if no supervisor is running, else 1.
    """

    def __init__(self, path: Path | str, *, timeout: float = 5.0) -> None:
        self.path = path
        self._timeout = timeout
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # By the kernel and not by `settimeout`: of a socket that does not block, `connect` fails at once where a busy
        # master has not taken up those who came before.
        limit = struct.pack("ll", int(timeout), max(1, int(timeout % 1 * 1e6)))
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, limit)
        try:
            self._socket.connect(str(path))
        except BaseException as error:
            self._socket.close()
            if isinstance(error, OSError):
                raise self._explained(error) from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def pid(self) -> int:
        """The master's process id, as the kernel says; 0 where it does not."""
        with contextlib.suppress(OSError, AttributeError):
            found = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            return int(_CREDENTIALS.unpack(found)[0])
        return 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            return self._answer()
        except OSError as error:
            raise self._explained(error) from error

    def _answer(self) -> dict[str, Any]:
        received, deadline = bytearray(), monotonic() + self._timeout
        while not received.endswith(b"\n"):
            found = self._socket.recv(_CHUNK)
            if not found:
                raise Unreachable(
                    f"{self.path}: the supervisor closed the connection before it had answered; it is "
                    "stopping, or was busy: try again"
                )
            if monotonic() > deadline:
                raise TimeoutError
            received += found
        with contextlib.suppress(ValueError, RecursionError):
            answer = json.loads(received)
            if isinstance(answer, dict):
                return answer
        raise Unreachable(f"{self.path}: what answers there is no supervisor; see [supervisor] control_socket")

    def _explained(self, error: OSError) -> Unreachable:
        if isinstance(error, _NOT_RUNNING):
            gone = "nobody listens at its socket" if os.path.lexists(self.path) else "there is no such socket"
            return Unreachable(
                f"{self.path}: the supervisor is not running ({gone}); start it with `supervisor run`, "
                "or name another with --config or --socket",
                exit_code=EXIT_NOT_RUNNING,
            )
        if isinstance(error, PermissionError):
            return Unreachable(f"{self.path}: no permission; run this as {_owner_of(self.path)} or as root")
        if isinstance(error, BlockingIOError | TimeoutError):
            who = f"kill -TERM {self.pid}" if self.pid else "end it"
            return Unreachable(
                f"{self.path}: the supervisor does not answer within {self._timeout:g} s; it is frozen or "
                f"overloaded: see its log, or {who}"
            )
        return Unreachable(f"{self.path}: no connection: {error.strerror or error}")


def talk(path: Path | str, request: dict[str, Any], *, timeout: float = 5.0) -> dict[str, Any]:
    """The answer to one request. Raises Unreachable."""
    with Connection(path, timeout=timeout) as connection:
        return connection.ask(request)


def _owner_of(path: Path | str) -> str:
    import pwd

    try:
        return f"the user {pwd.getpwuid(os.stat(path).st_uid).pw_name!r}"  # noqa: PTH116  # pathlib takes its time
    except (OSError, KeyError):
        return "the user that runs the supervisor"
