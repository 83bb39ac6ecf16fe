"""Signals to the master: twice is now, grace has an end, and a storm changes nothing (P4, P5)."""

from __future__ import annotations

import os
import signal
from random import Random

import psutil
import pytest

from taskqueue import Status
from tests.support import mischief, tasks
from tests.support.eventually import eventually
from tests.support.supervision import is_gone

pytestmark = [pytest.mark.process, pytest.mark.fresh]
NEVER = "/nonexistent/gate"


def test_a_second_term_means_now_and_counts_as_no_crash(site, supervisor):
    handles = [site.queue.enqueue(tasks.until, str(site.ledger), NEVER) for _ in range(2)]
    for handle in handles:
        site.started(handle)
    supervisor.send("SIGTERM")
    supervisor.eventually(lambda status: status.state == "stopping")
    # Two that come close together count as one: some send it to a process and to its group.
    eventually(lambda: supervisor.send("SIGTERM") or "SIGTERM: leaving now" in supervisor.output)
    assert supervisor.wait() == 0
    for handle in handles:
        assert handle.status() is Status.ENQUEUED
        assert site.counters(handle) == (0, 0)
        assert [cause for cause, _ in site.attempts(handle)] == ["stopped"]


def test_quit_never_means_now(site, supervisor):
    gate = site.folder / "gate"
    handle = site.queue.enqueue(tasks.until, str(site.ledger), str(gate))
    site.started(handle)
    for _ in range(3):
        supervisor.send("SIGQUIT")
        supervisor.eventually(lambda status: status.state == "stopping")
    gate.touch()
    assert supervisor.wait() == 0
    assert handle.result() == "the file is there"


def test_what_does_not_yield_by_the_end_of_grace_is_ended_with_its_stacks_and_its_children(make_site):
    site = make_site(supervisor="grace = 0.3", queues="[queues.default]\nworkers = 3")
    supervisor = site.start()
    yields_not = site.queue.enqueue(mischief.stubborn_with_a_child, str(site.ledger))
    hangs = site.queue.enqueue(mischief.holds_the_interpreter, str(site.ledger))
    stands = site.queue.enqueue(tasks.until, str(site.ledger), NEVER)
    for handle in (yields_not, hangs, stands):
        site.started(handle)
    child = psutil.Process(mischief.child_of(eventually(lambda: site.lines() if len(site.lines()) > 3 else None)))
    stopped = supervisor.runs(stands)
    (slot,) = [slot for slot in supervisor.pool().slots if slot.pid == stopped]
    os.kill(stopped, signal.SIGSTOP)
    supervisor.send("SIGTERM")
    assert supervisor.wait() == 0
    eventually(lambda: is_gone(child))
    assert "in stubborn_with_a_child" in supervisor.output
    assert "in holds_the_interpreter" in supervisor.output
    assert f"SIGKILL  slot={slot.name} child={stopped}" in supervisor.output
    for handle in (yields_not, hangs, stands):
        assert handle.status() is Status.ENQUEUED
        assert site.counters(handle)[1] == 0


def test_after_three_thousand_signals_everything_works_and_nobody_was_replaced(site, supervisor):
    random, before = Random(22), supervisor.pids()
    names = ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGPIPE", "SIGCHLD", "SIGURG", "SIGWINCH"]
    for _ in range(3000):
        supervisor.send(random.choice(names))
    eventually(lambda: supervisor.send("SIGCONT") or not supervisor.status.paused)
    assert site.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    assert supervisor.ready().pids() == before


def test_signals_that_a_whole_fleet_gets_while_it_boots_end_nobody(make_site):
    site = make_site(queues="[queues.default]\nworkers = 4", app="preload = false")
    supervisor = site.start(ready=False)
    children = eventually(lambda: len(found := supervisor.master.children()) == 5 and found)
    for child in children:
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT):
            child.send_signal(number)
    supervisor.ready()
    assert {child.pid for child in children} == {*supervisor.pids(), supervisor.keeper}
