"""`supervisor ping`, quick: what a container's probe runs every few seconds imports next to nothing."""

from __future__ import annotations

import sys

from supervisor.client import Connection, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: how long an answer may take, in seconds
TIMEOUT = 5.0
INTERRUPTED = 130
_OPTIONS = ("--socket", "--config", "--timeout")


def probe(args: Sequence[str]) -> int | None:
    """Ping as these arguments say; the exit code. None: this takes the whole program, nothing was done yet."""
    try:
        said = _said(args)
        timeout = float(said.get("--timeout", TIMEOUT))
        path = said.get("--socket") or _place(said.get("--config"))
        if not 0 < timeout < 1e6:
            return None
        sys.stdout.write(ping(path, timeout=timeout) + "\n")
        sys.stdout.flush()
    except Unreachable as error:
        from supervisor.cli.program import tell

        return tell(error)
    except (ValueError, BrokenPipeError):
        return None
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def ping(path: str, *, timeout: float = TIMEOUT) -> str:
    """Say that the master is alive: its loop has answered. Raises Unreachable."""
    with Connection(path, timeout=timeout) as connection:
        answer = connection.ask({"command": "ping"})
        if answer.get("ok") is not True:
            raise Unreachable(f"{path}: {answer.get('error')}")
        return f"alive, pid {connection.pid}"


def _said(args: Sequence[str]) -> dict[str, str]:
    """The options, `--name value` or `--name=value`; ValueError if there is anything else."""
    said, rest = {}, list(args)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if name not in _OPTIONS or not (equals or rest):
            raise ValueError(name)
        said[name] = value if equals else rest.pop(0)
    return said


def _place(config: str | None) -> str:
    from supervisor.cli.place import plain_path

    path = plain_path(config)
    if path is None:
        raise ValueError(config)
    return path
