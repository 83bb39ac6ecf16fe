"""A supervisor at a terminal: Ctrl-C is heard by the master only, and a terminal that hangs up harms nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.eventually import eventually

pytestmark = pytest.mark.process
#: make the standard input the terminal that rules the session, then become the program
AT_A_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
CTRL_C = b"\x03"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ends = os.openpty()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test has closed it


def test_ctrl_c_is_heard_by_the_master_only(site, terminal):
    keyboard, end = terminal
    supervisor = site.start(before=[sys.executable, "-c", AT_A_TERMINAL], stdin=end)
    gate = site.folder / "gate"
    handles = [site.queue.enqueue(tasks.until, str(site.ledger), str(gate)) for _ in range(2)]
    for handle in handles:
        site.started(handle)
    os.write(keyboard, CTRL_C)
    supervisor.says("SIGTERM received", times=2)
    gate.touch()
    assert supervisor.wait() == 0
    assert {handle.status() for handle in handles} == {Status.COMPLETED}
    assert "SIGINT: leaving after the current tasks" in supervisor.output
    assert "SIGINT received" not in supervisor.output, "no worker heard it"


def test_a_terminal_that_hangs_up_harms_nobody(site, terminal):
    """The master gets HUP, which means to reload; and what it says then goes nowhere."""
    keyboard, end = terminal
    supervisor = site.start(before=[sys.executable, "-c", AT_A_TERMINAL], stdin=end, stderr=end)
    before = supervisor.pids()
    os.close(end)
    os.close(keyboard)
    os.kill(before[0], 9)
    supervisor.replaced(before[0])
    assert site.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    eventually(lambda: not supervisor.status.degraded)
