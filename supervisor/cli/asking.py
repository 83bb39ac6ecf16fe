"""What the commands that talk to the master have in common: where its socket is, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from supervisor.cli.place import socket_path
from supervisor.client import Connection, Unreachable
from taskqueue.cli.session import Session
from taskqueue.errors import TaskQueueError

F = TypeVar("F", bound=Callable[..., Any])
#: how long an answer may take, in seconds
PATIENCE = 10.0


class Unanswered(TaskQueueError):
    """The master did not do it. The exit code is 3 where none is running."""

    def __init__(self, text: str, exit_code: int = TaskQueueError.exit_code) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Master:
    """The master as the command line names it. What it is asked raises Unanswered."""

    def __init__(self, session: Session, socket: str | None, *, timeout: float = PATIENCE) -> None:
        self.path = socket or socket_path(session.config, session.sets)
        self._timeout = timeout

    def ask(self, command: str, **about: Any) -> dict[str, Any]:
        """The answer to one request."""
        with self.connected() as connection:
            return ask(connection, command, **about)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection for several requests."""
        with answered(), Connection(self.path, timeout=self._timeout) as connection:
            yield connection


def ask(connection: Connection, command: str, **about: Any) -> dict[str, Any]:
    """The answer to a request of this connection; what is None is left out. Raises Unanswered if it is refused."""
    answer = connection.ask({"command": command} | {name: value for name, value in about.items() if value is not None})
    if answer.get("ok") is not True:
        raise Unanswered(str(answer.get("error")))
    return answer


@contextmanager
def answered() -> Iterator[None]:
    """Errors of the connection as those of a command."""
    try:
        yield
    except Unreachable as error:
        raise Unanswered(str(error), error.exit_code) from error


def talks(command: F) -> F:
    """Give a command the option `socket`, beside the configuration that says where it is."""
    return click.option("--socket", metavar="PATH", help="The control socket; else as the configuration says.")(command)
