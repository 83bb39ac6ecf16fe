"""What is asked of the master through its socket, and by whom: one JSON object a line."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import socket
import struct
from functools import cache
from typing import Annotated

import msgspec

from taskqueue.errors import TaskQueueError, did_you_mean

COMMANDS = ("status", "ping", "pause", "resume", "scale", "restart", "reload", "stop")
#: of one pool, as `taskqueue.settings` has it
MOST_WORKERS = 1000
_EXAMPLE = '{"command": "status"}'
#: where msgspec says it happened
_PLACE = re.compile(r" - at `\$\.?(.*)`$")


class Refused(TaskQueueError):
    """A request that is not done. Its text, one line that says what, where and what to do, is the answer."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command and what it is about. What it does not need is left out.

    Unknown fields are refused: a command of a newer release is done as it was meant, or not at all.
    """

    command: str
    #: "POOL" or "POOL/INDEX"; None: all
    target: str | None = None
    #: for `scale`
    workers: Annotated[int, msgspec.Meta(ge=0, le=MOST_WORKERS)] | None = None
    #: for `stop`
    now: bool = False
    #: on whose behalf, where that is not who is at the other end of the socket: the keeper brings orders from elsewhere
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as the kernel says. The numbers are -1 where it does not."""

    pid: int = -1
    uid: int = -1

    def __str__(self) -> str:
        """`ann (uid 1000)`."""
        name = owners().get(self.uid)
        return f"{name} (uid {self.uid})" if name else f"uid {self.uid}" if self.uid >= 0 else "somebody"


def request_of(line: bytes) -> Request:
    """What a line asks for; raises Refused."""
    try:
        request = _DECODER.decode(line)
    except msgspec.ValidationError as error:
        raise Refused(f"no request: {_sentence(error)}; expected a line such as {_EXAMPLE}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(f"no request: the line is not JSON; expected one such as {_EXAMPLE}") from None
    if request.command not in COMMANDS:
        hint = did_you_mean(request.command[:40], COMMANDS) or f"; known: {', '.join(COMMANDS)}"
        raise Refused(f"no command {request.command[:40]!r}{hint}")
    return request


@cache
def owners() -> dict[int, str]:
    """Names of those who can connect: root and this process's user.

    Looked up once: a directory service that does not answer must not hold up the master each time.
    """
    found: dict[int, str] = {}
    for uid in (0, os.geteuid()):
        with contextlib.suppress(KeyError, OSError):
            found[uid] = pwd.getpwuid(uid).pw_name
    return found


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end of it."""
    if not hasattr(socket, "SO_PEERCRED"):
        return Peer()
    try:
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return Peer()
    pid, uid, _gid = _CREDENTIALS.unpack(found)
    return Peer(pid=pid, uid=uid)


_DECODER = msgspec.json.Decoder(Request)
#: pid, uid, gid
_CREDENTIALS = struct.Struct("3i")


def _sentence(error: msgspec.ValidationError) -> str:
    text = str(error)
    found = _PLACE.search(text)
    said = text[: found.start()] if found else text
    said = said[:1].lower() + said[1:]
    return f"{found[1]}: {said}" if found and found[1] else said
