"""Where the web server listens, and whom it trusts: the rules of `[web]` that need more than a type.

Errors never repeat a token (P19).
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, NamedTuple

from taskqueue.settings import rules
from taskqueue.settings.interpolate import Interpolated
from taskqueue.settings.rules import describe, literal

#: the fewest characters of a token: shorter ones can be guessed
SHORTEST = 20
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")
_HOST = re.compile(r"\*|\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_ROOT = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class Bind(NamedTuple):
    """A host (without brackets) and a port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    @property
    def private(self) -> bool:
        """Only this machine can reach it: a loopback address, or a socket that is its owner's."""
        return self.path is not None or is_loopback(self.host)

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


#: where `taskqueue web` listens if nothing is said
DEFAULT = Bind("127.0.0.1", 8321)


def is_loopback(host: str) -> bool:
    """Whether this name or address, without brackets, is the machine's own loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def bind(value: Any) -> Bind | None:
    """HOST:PORT, or unix:PATH; an empty text means none. Port 0 is any that is free."""
    given = rules.text(value)
    if not given:
        return None
    scheme, _, path = given.partition(":")
    if scheme == "unix" and path:
        return Bind(path=Path(path))
    found = _ADDRESS.fullmatch(given)
    if found is None or int(found["port"]) > 65535:
        raise ValueError(
            f'expected HOST:PORT such as "{DEFAULT}", or "unix:/run/taskqueue.sock", not {describe(value)}'
        )
    return Bind(found["host"].strip("[]"), int(found["port"]))


def enqueue(value: Any) -> bool | tuple[str, ...]:
    """Whether registered tasks may be enqueued: all, none, or those of a list."""
    given = literal(value) if isinstance(value, Interpolated) else value
    if isinstance(given, bool):
        return given
    if not isinstance(given, list):
        given = describe(value)
        raise ValueError(f"expected true, false or a list of task names, not {given}")  # noqa: TRY004  # as every rule
    return rules.texts(given)


def hosts(value: Any) -> tuple[str, ...]:
    """Names or addresses that a request may be meant for, without ports; "*" for any."""
    given = rules.texts(value)
    for name in given:
        if not _HOST.fullmatch(name):
            raise ValueError(f'{describe(name)} is no host: write its name without scheme and port, or "*"')
    return tuple(name.lower().strip("[]") for name in given)


def root_path(value: Any) -> str:
    """The path under which a proxy serves it: "/tasks"; empty for none."""
    given = rules.text(value).rstrip("/")
    if not _ROOT.fullmatch(given):
        raise ValueError(f'expected a path such as "/tasks", not {describe(value)}')
    return given


def token(value: Any) -> str:
    """A secret that a caller shows. Errors do not repeat it."""
    if not isinstance(value, str) or len(value) < SHORTEST or not _TOKEN.fullmatch(value):
        raise ValueError(
            f"expected a token of at least {SHORTEST} letters, digits and ._~+/=- ; for instance "
            '"${file:/run/secrets/ann}" with what `openssl rand -hex 20` prints'
        )
    return str(value)
