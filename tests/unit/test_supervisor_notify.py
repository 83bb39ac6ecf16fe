"""What systemd is told: the datagrams as sd_notify(3) has them, and nothing where nobody listens."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.notify import MOST_WAITING, Notifier


class Systemd:
    """The other end."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(0)

    def told(self) -> list[list[str]]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(65_536).decode().split("\n"))
            except BlockingIOError:
                return found


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    listening = Systemd(str(tmp_path / "notify"))
    yield listening
    listening.socket.close()


@pytest.fixture
def notifier(systemd: Systemd) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": systemd.socket.getsockname(), "WATCHDOG_USEC": "4000000"})


def test_the_life_of_a_service_is_told(notifier, systemd):
    before = time.monotonic_ns() // 1000
    assert notifier.listened_to
    assert notifier.ready("4 workers")
    assert notifier.status("3 of 4 workers up")
    assert notifier.alive()
    assert notifier.reloading()
    assert notifier.ready()
    assert notifier.extend(2.5)
    assert notifier.stopping("2 tasks run")
    told = systemd.told()
    reloading = told.pop(3)
    assert told == [
        ["READY=1", "STATUS=4 workers"],
        ["STATUS=3 of 4 workers up"],
        ["WATCHDOG=1"],
        ["READY=1"],
        ["EXTEND_TIMEOUT_USEC=2500000"],
        ["STOPPING=1", "STATUS=2 tasks run"],
    ]
    assert reloading[0] == "RELOADING=1"
    assert before <= int(reloading[1].removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_an_abstract_name_is_one():
    name = f"taskqueue-test-{os.getpid()}"
    listening = Systemd(f"\0{name}")
    assert Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
    assert listening.told() == [["READY=1"]]
    listening.socket.close()


@pytest.mark.parametrize("address", ["", "@", "/no/such/socket", "vsock:2:1234", "relative", "/" + "x" * 500, "/a\0b"])
def test_where_nobody_listens_nothing_is_wrong(address):
    notifier = Notifier({"NOTIFY_SOCKET": address})
    assert notifier.ready("all well")
    assert notifier.alive()
    assert notifier.stopping()


def test_without_the_variable_nobody_wants_to_know():
    notifier = Notifier({"WATCHDOG_USEC": "1000000"})
    assert (notifier.listened_to, notifier.period) == (False, None)


@pytest.mark.parametrize(
    ("usec", "pid", "period"),
    [
        ("30000000", "", 15.0),
        ("30000000", str(os.getpid()), 15.0),
        ("30000000", "1", None),
        ("30000000", "me", None),
        ("0", "", None),
        ("-5", "", None),
        ("soon", "", None),
        ("", "", None),
    ],
)
def test_the_watchdog_wants_a_sign_in_half_its_time_and_from_this_process(usec, pid, period):
    said = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    assert Notifier(said).period == period


def test_a_text_can_forge_no_line(notifier, systemd):
    notifier.status("fine\nMAINPID=1\x1b[2J\udcff")
    assert systemd.told() == [[r"STATUS=fine\nMAINPID=1\x1b[2J\udcff"]]


def test_while_the_socket_is_full_changes_wait_in_their_order_and_what_passes_is_dropped(notifier, systemd):
    while notifier.status("x" * 1000):
        pass
    assert not notifier.reloading()
    assert not notifier.alive()
    assert not notifier.ready("reloaded")
    assert len(systemd.told()) > 0
    assert notifier.alive()
    reloading, ready, alive = systemd.told()
    assert (reloading[0], ready, alive) == ("RELOADING=1", ["READY=1", "STATUS=reloaded"], ["WATCHDOG=1"])


def test_what_waits_has_an_end_and_the_last_change_is_in_it(notifier, systemd):
    while notifier.status("x" * 1000):
        pass
    for _ in range(MOST_WAITING):
        notifier.reloading()
        notifier.ready()
    systemd.told()
    told: list[list[str]] = []
    while not notifier.alive():
        told += systemd.told()
    told += systemd.told()
    assert len(told) == MOST_WAITING + 1
    assert told[-2:] == [["READY=1"], ["WATCHDOG=1"]]


def test_no_descriptor_stays_open(notifier, systemd):
    before = os.listdir("/proc/self/fd")
    notifier.ready()
    notifier.alive()
    assert os.listdir("/proc/self/fd") == before
