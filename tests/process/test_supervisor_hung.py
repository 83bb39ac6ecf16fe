"""Workers that hang: in a task, in their boot, stopped by somebody; and a host that was frozen (P10, R3)."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from taskqueue import Status
from tests.support import mischief, tasks
from tests.support.eventually import eventually
from tests.support.supervision import MODULES, is_gone

pytestmark = pytest.mark.process
GOOD_AND_BAD = "[queues.default]\nworkers = 1\n[queues.bad]\nworkers = 1"
TROUBLE = f'{MODULES}, "tests.support.trouble"'


def test_a_task_that_hangs_in_c_is_ended_with_its_worker_and_its_report_shows_where(make_site):
    site = make_site(defaults="max_crashes = 0\nlease = 1")
    supervisor = site.start()
    handle = site.queue.options(timeout=0.2).enqueue(mischief.holds_the_interpreter, str(site.ledger))
    pid = supervisor.runs(handle)
    assert handle.wait(30) is Status.FAILED
    report = handle.report()
    assert "its worker ended itself" in report.message
    assert "in holds_the_interpreter" in str(report.data)
    assert len(supervisor.replaced(pid)) == 2


def test_a_worker_that_is_stopped_is_ended_once_its_lease_is_over_with_all_that_it_started(make_site):
    site = make_site(defaults="lease = 1")
    supervisor = site.start()
    handle = site.queue.enqueue(mischief.waits_with_a_child, str(site.ledger))
    pid = supervisor.runs(handle)
    child = psutil.Process(mischief.child_of(eventually(lambda: site.lines()[1:] and site.lines())))
    os.kill(pid, signal.SIGSTOP)
    supervisor.says("a process is ended: it held a task past the end of its lease")
    supervisor.runs(handle, times=2)
    supervisor.replaced(pid)
    eventually(lambda: is_gone(child))
    site.queue.task_log.cancel(handle.id)
    os.kill(supervisor.runs(handle, times=2), signal.SIGKILL)
    assert handle.wait(20).ended


@pytest.mark.soak
def test_an_idle_worker_that_is_stopped_is_replaced_when_its_sign_of_life_is_overdue(site, supervisor):
    first, second = supervisor.pids()
    os.kill(first, signal.SIGSTOP)
    eventually(lambda: "it gave no sign of life past its deadline" in supervisor.output, within=60)
    assert supervisor.replaced(first)[1] == second


def test_a_worker_that_does_not_start_in_time_is_ended_and_tried_again(make_site):
    options = {"modules": TROUBLE, "app": "preload = false", "supervisor": "boot_timeout = 2"}
    site = make_site(queues=GOOD_AND_BAD, **options)
    trouble = site.folder / "trouble"
    trouble.write_text("hang")
    supervisor = site.start(ready=False)
    supervisor.says("a process is ended: it did not start in time ([supervisor] boot_timeout)")
    trouble.unlink()
    supervisor.ready()
    assert supervisor.slot(0, "bad").restarts >= 1
    assert supervisor.slot(0).restarts == 0


def test_a_host_that_was_frozen_kills_nobody(make_site):
    """Deadlines have passed meanwhile; that is no worker's fault."""
    options = {"modules": TROUBLE, "app": "preload = false", "supervisor": "boot_timeout = 4.5"}
    site = make_site(queues=GOOD_AND_BAD, **options)
    trouble = site.folder / "trouble"
    trouble.write_text("hang")
    supervisor = site.start(ready=False)
    supervisor.eventually(lambda _: supervisor.pids() and supervisor.slot(0, "bad").state == "boot")
    gate = site.folder / "gate"
    handle = site.queue.enqueue(tasks.until, str(site.ledger), str(gate))
    supervisor.runs(handle)
    children = supervisor.master.children()
    froze = time.monotonic()
    for pid in [supervisor.pid, *(child.pid for child in children)]:
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: time.monotonic() > froze + 5)  # the time that they stand still is what is tested
    for pid in [*(child.pid for child in children), supervisor.pid]:
        os.kill(pid, signal.SIGCONT)
    supervisor.says("stood still")
    trouble.unlink()
    gate.touch()
    assert handle.wait(20) is Status.COMPLETED
    supervisor.ready()
    assert {child.pid for child in supervisor.master.children()} == {child.pid for child in children}
    assert "a process is ended" not in supervisor.output
