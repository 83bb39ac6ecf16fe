"""The master as process 1 of a container: it reaps whatever is left to it, and leaves like any other."""

from __future__ import annotations

import os
import shutil
import subprocess

import psutil
import pytest

from taskqueue import Status
from tests.support import mischief, tasks
from tests.support.eventually import eventually

pytestmark = pytest.mark.process
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
#: as root, and as anybody where the kernel lets them
WAYS = [UNSHARE, [*UNSHARE, "--user", "--map-root-user"]]


@pytest.fixture
def supervisor(site):
    if shutil.which("unshare") is None:
        pytest.skip("no unshare (util-linux) here")
    way = next((way for way in WAYS if subprocess.run([*way, "true"], capture_output=True).returncode == 0), None)
    if way is None:
        pytest.skip("this user may make no process namespace here")
    supervisor = site.start(ready=False, before=way)
    supervisor.pid = eventually(lambda: [child.pid for child in psutil.Process(supervisor.process.pid).children()])[0]
    return supervisor.ready()


def test_strangers_are_reaped_and_the_fleet_works_on(site, supervisor):
    assert supervisor.status.pid == 1
    for _ in range(5):
        assert site.queue.enqueue(mischief.leaves_a_stranger, str(site.ledger)).wait(20) is Status.COMPLETED
    eventually(lambda: len([line for line in site.lines() if line[0].startswith("child-")]) == 5)
    eventually(lambda: len(supervisor.master.children()) == 3, what="nobody but the keeper and two workers")
    first = next(child for child in supervisor.master.children() if "/default/0" in child.cmdline()[0])
    first.kill()
    eventually(lambda: supervisor.slot(0).restarts == 1 and supervisor.is_settled())
    assert site.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    os.kill(supervisor.pid, 15)
    assert supervisor.wait() == 0
