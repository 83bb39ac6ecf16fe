"""The master is killed: workers end their tasks and leave, and a new one need not wait for them (P3)."""

from __future__ import annotations

import os
import signal

import pytest

from taskqueue import Status
from tests.support import mischief, tasks
from tests.support.eventually import eventually

pytestmark = pytest.mark.process


def test_orphans_end_their_tasks_and_leave_beside_a_new_supervisor_that_starts_at_once(site, supervisor):
    gate, second_gate = site.folder / "gate", site.folder / "second"
    old = [site.queue.enqueue(tasks.until, str(site.ledger), str(gate)) for _ in range(2)]
    pids = {supervisor.runs(handle) for handle in old}
    behind = [site.queue.enqueue(tasks.until, str(site.ledger), str(second_gate)) for _ in range(2)]
    keeper = supervisor.keeper
    supervisor.kill()
    new = site.start()
    eventually(lambda: keeper not in [*supervisor.session()])
    others = {new.runs(handle) for handle in behind}
    assert others == {*new.pids()}
    assert pids <= {*supervisor.session()}, "they still drain"
    assert {handle.status() for handle in old} == {Status.RUNNING}
    gate.touch()
    eventually(lambda: not [*supervisor.session()])
    second_gate.touch()
    assert {handle.wait(20) for handle in [*old, *behind]} == {Status.COMPLETED}
    assert {site.counters(handle) for handle in [*old, *behind]} == {(1, 0)}
    assert supervisor.output.count("the supervisor is gone") == 3
    new.ready()


def test_idle_orphans_leave_at_once_and_those_that_were_paused_too(site, supervisor):
    os.kill(supervisor.pids()[0], signal.SIGUSR2)
    supervisor.eventually(lambda _: supervisor.slot(0).paused)
    waiting = site.queue.queue("default")
    supervisor.kill()
    supervisor.nothing_left()
    assert waiting.broker.depth().total == 0


def test_a_task_that_hangs_under_an_orphan_ends_with_its_lease_and_the_next_supervisor_knows(make_site):
    """R3: nobody is left to end it, and it is not renewed for ever."""
    site = make_site(defaults="lease = 1\nmax_crashes = 0")
    supervisor = site.start()
    handle = site.queue.options(timeout=0.3).enqueue(mischief.holds_the_interpreter, str(site.ledger))
    supervisor.runs(handle)
    supervisor.kill()
    eventually(lambda: not [*supervisor.session()])
    (trace,) = site.folder.glob("tasks.db-worker-*")
    site.start()
    assert handle.wait(20) is Status.FAILED
    eventually(lambda: not trace.exists())
