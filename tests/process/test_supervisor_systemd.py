"""What systemd hears of a supervisor (sd_notify): ready, reloading, stopping, and that its loop still turns."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import pytest

from tests.support import mischief
from tests.support.supervision import settled

pytestmark = pytest.mark.process
#: of the watchdog, in seconds: it must be heard of twice in that time
ALLOWED = 0.6


class Ear:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)

    def hears(self, word: str) -> list[str]:
        """Wait for a message that has that line (of which this is the beginning); its lines."""
        while self.has_news(within=20):
            lines = self._socket.recv(4096).decode().splitlines()
            if any(line.startswith(word) for line in lines):
                return lines
        raise AssertionError(f"{word} was not said")

    def has_news(self, *, within: float) -> bool:
        return bool(select.select([self._socket], [], [], within)[0])

    def drain(self) -> None:
        while self.has_news(within=0):
            self._socket.recv(4096)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def ear(tmp_path) -> Iterator[Ear]:
    ear = Ear(str(tmp_path / "notify"))
    yield ear
    ear.close()


def test_systemd_hears_of_start_reload_and_stop_and_of_the_loop_while_it_turns(site, ear):
    variables = {"NOTIFY_SOCKET": str(site.folder / "notify"), "WATCHDOG_USEC": str(int(ALLOWED * 1e6))}
    supervisor = site.start(ready=False, variables=variables)
    assert "STATUS=2 of 2 workers up" in ear.hears("READY=1")
    assert settled(supervisor.status), "not before all are up"
    supervisor.send("SIGHUP")
    (_, moment, *_) = ear.hears("RELOADING=1")
    assert moment.startswith("MONOTONIC_USEC=")
    ear.hears("READY=1")
    for _ in range(3):
        ear.hears("WATCHDOG=1")
    assert not {*variables} & {*site.queue.enqueue(mischief.environment).result(20)}, "a task would speak for us"
    supervisor.send("SIGSTOP")
    ear.drain()
    assert not ear.has_news(within=2 * ALLOWED), "nothing says that a loop turns which does not"
    os.kill(supervisor.pid, 18)
    ear.hears("WATCHDOG=1")
    supervisor.send("SIGTERM")
    ear.hears("STOPPING=1")
    assert supervisor.wait() == 0
