"""What systemd is told (sd_notify): that we are ready, reload, stop, how it goes, and that the loop still turns.

A datagram to the socket of $NOTIFY_SOCKET; see sd_notify(3), systemd.service(5), `Type=notify-reload`, `WatchdogSec=`.
Without that variable nothing is sent. Nothing here waits or raises: a supervisor works without systemd, too.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Mapping
from time import monotonic_ns

from taskqueue.visible import visible

#: what a child must not find in its environment: it would speak for us
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
#: changes of state that wait while the socket is full; what is said again and again does not
MOST_WAITING = 16


class Notifier:
    """Tells whoever started us. Each method says whether all that there was to tell has been sent."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._waiting: deque[str] = deque(maxlen=MOST_WAITING)
        #: how often `alive` must be said, in seconds (half of what is allowed); None: nobody waits for it
        self.period = _period(environ) if self._address else None

    @property
    def listened_to(self) -> bool:
        """Whether somebody wants to know."""
        return bool(self._address)

    def ready(self, status: str = "") -> bool:
        """Started, or done with reloading."""
        return self._change("READY=1", _status(status))

    def reloading(self, status: str = "") -> bool:
        """Reloading; `ready` must follow."""
        return self._change("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}", _status(status))

    def stopping(self, status: str = "") -> bool:
        """On the way out."""
        return self._change("STOPPING=1", _status(status))

    def status(self, text: str) -> bool:
        """A line for `systemctl status`."""
        return self._sent() and self._send(_status(text))

    def alive(self) -> bool:
        """The loop still turns: say it every `period`."""
        return self._sent() and self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> bool:
        """Starting or stopping may take so much longer, from now on; to be said again and again."""
        return self._sent() and self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def _change(self, *lines: str) -> bool:
        self._waiting.append("\n".join(filter(None, lines)))
        return self._sent()

    def _sent(self) -> bool:
        """Send what waits, in its order."""
        while self._waiting and self._send(self._waiting[0]):
            self._waiting.popleft()
        return not self._waiting

    def _send(self, message: str) -> bool:
        if not self._address:
            return True
        try:
            # A socket for each: none that children inherit, and systemd may be started anew in between.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0)
                sender.sendto(message.encode("utf-8", "backslashreplace"), self._address)
        except BlockingIOError:
            return False
        except (OSError, ValueError):  # nobody is there
            return True
        return True


def _address(said: str) -> str:
    """A path, or an abstract name behind "@"; what else there is (vsock:) is none of a host's own systemd."""
    return f"\0{said[1:]}" if said.startswith("@") and len(said) > 1 else said if said.startswith("/") else ""


def _period(environ: Mapping[str, str]) -> float | None:
    try:
        allowed = int(environ.get("WATCHDOG_USEC", ""))
        meant = int(environ.get("WATCHDOG_PID") or os.getpid()) == os.getpid()
    except ValueError:
        return None
    return allowed / 2e6 if meant and allowed > 0 else None


def _status(text: str) -> str:
    return f"STATUS={visible(text)}" if text else ""
