"""Asking the master through its socket.

Of the standard library it takes only what it cannot do without: most of the time of a probe is its imports.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from time import monotonic

TYPE_CHECKING = False  # `typing` itself would take a tenth of that time
if TYPE_CHECKING:
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

    def __init__(self, path: str, *, timeout: float = 5.0) -> None:
        self.path = path
        self._timeout = timeout
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # By the kernel and not by `settimeout`: of a socket that does not block, `connect` fails at once where a busy
        # master has not taken up those who came before.
        limit = struct.pack("ll", int(timeout), max(1, int(timeout % 1 * 1e6)))
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, limit)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise self._explained(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def pid(self) -> int:
        """The master's process id, as the kernel says; 0 where it does not."""
        try:
            found = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except (OSError, AttributeError):
            return 0
        return int(_CREDENTIALS.unpack(found)[0])

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(self._line())
        except OSError as error:
            raise self._explained(error) from error
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise Unreachable(f"{self.path}: what answers there is no supervisor; see [supervisor] control_socket")
        return answer

    def _line(self) -> bytes:
        received, deadline = bytearray(), monotonic() + self._timeout
        while not received.endswith(b"\n"):
            found = self._socket.recv(_CHUNK)
            if not found:
                raise Unreachable(
                    f"{self.path}: the supervisor closed the connection before it answered: it leaves, or was busy; "
                    "try again"
                )
            if monotonic() > deadline:
                raise TimeoutError
            received += found
        return bytes(received)

    def _explained(self, error: OSError) -> Unreachable:
        if isinstance(error, _NOT_RUNNING):
            why = "nobody listens at its socket" if os.path.lexists(self.path) else "there is no such socket"
            text = f"the supervisor is not running ({why}); start it with `supervisor run`, or name another with "
            return Unreachable(f"{self.path}: {text}--config or --socket", exit_code=EXIT_NOT_RUNNING)
        if isinstance(error, PermissionError):
            return Unreachable(f"{self.path}: no permission; run this as {_owner_of(self.path)}, or as root")
        if isinstance(error, BlockingIOError | TimeoutError):
            text = f"the supervisor does not answer within {self._timeout:g} s; it is frozen or overloaded: "
            then = f", or end it (kill -KILL {self.pid})" if self.pid else ""
            return Unreachable(f"{self.path}: {text}see its log{then}")
        return Unreachable(f"{self.path}: no connection: {error.strerror or error}")


def talk(path: str, request: dict[str, Any], *, timeout: float = 5.0) -> dict[str, Any]:
    """The answer to one request. Raises Unreachable."""
    with Connection(path, timeout=timeout) as connection:
        return connection.ask(request)


def _owner_of(path: str) -> str:
    import pwd

    try:
        return f"the user {pwd.getpwuid(os.stat(path).st_uid).pw_name!r}"  # noqa: PTH116  # pathlib takes its time
    except (OSError, KeyError):
        return "the user that runs the supervisor"
