"""Pausing is a state, not an event: it outlives processes, reload and scaling (P6)."""

from __future__ import annotations

import os
import signal

import pytest

from taskqueue import Status
from taskqueue.database import pauses
from tests.support import tasks
from tests.support.eventually import eventually

pytestmark = pytest.mark.process


def test_nothing_starts_between_usr2_and_cont_under_load_whatever_happens_in_between(site, supervisor):
    count = 1200
    for _ in range(2):
        site.queue.enqueue_many(tasks.traced.bind(str(site.ledger), 0.003) for _ in range(count // 2))
    eventually(lambda: len(site.lines("end")) > 50)
    supervisor.send("SIGUSR2")
    before = at_rest(site, supervisor)
    assert before < count
    (victim, *_) = supervisor.pids()
    os.kill(victim, signal.SIGKILL)
    supervisor.replaced(victim)
    supervisor.tell("scale", "default", workers=3)
    supervisor.eventually(lambda _: len(supervisor.pids()) == 3)
    site.write(defaults="priority = 4")
    old = supervisor.pids()
    supervisor.send("SIGHUP")
    supervisor.replaced(*old)
    supervisor.eventually(lambda _: {slot.activity for slot in supervisor.pool().slots} == {"paused"})
    assert [pause.by for pause in supervisor.status.paused] == ["signal"]
    assert len(site.lines("start")) == before
    supervisor.send("SIGCONT")
    eventually(lambda: site.queue.task_log.categories()["completed"] == count, within=40)
    assert len(site.lines("start")) == count


def at_rest(site, supervisor) -> int:
    """How many tasks have started once every worker says that it starts none, although hundreds wait."""
    depth = site.queue.queue("default").broker.depth
    supervisor.eventually(lambda _: {slot.activity for slot in supervisor.pool().slots} == {"paused"})
    started = len(site.lines("start"))
    eventually(lambda: depth().leased == 0)
    assert depth().waiting > 0
    return started


def test_running_tasks_end_in_a_pause_and_a_stop_ends_it(site, supervisor):
    gate = site.folder / "gate"
    running = site.queue.enqueue(tasks.until, str(site.ledger), str(gate))
    site.started(running)
    supervisor.send("SIGUSR2")
    supervisor.eventually(lambda _: sorted(slot.activity for slot in supervisor.pool().slots) == ["paused", "running"])
    gate.touch()
    assert running.wait(20) is Status.COMPLETED
    supervisor.eventually(lambda _: {slot.activity for slot in supervisor.pool().slots} == {"paused"})
    waiting = site.queue.enqueue(tasks.add, 1, 1)
    supervisor.send("SIGTERM")
    assert supervisor.wait() == 0
    assert waiting.status() is Status.ENQUEUED


def test_usr2_to_one_worker_pauses_it_alone_and_outlives_it(site, supervisor):
    first, second = supervisor.pids()
    os.kill(first, signal.SIGUSR2)
    supervisor.eventually(lambda _: [(pause.scope, pause.by) for pause in supervisor.slot(0).paused] == BY_SIGNAL)
    os.kill(first, signal.SIGKILL)
    third, _ = supervisor.replaced(first)
    assert [(pause.scope, pause.by) for pause in supervisor.slot(0).paused] == BY_SIGNAL
    handles = [site.queue.enqueue(tasks.traced, str(site.ledger)) for _ in range(20)]
    assert {handle.wait(20) for handle in handles} == {Status.COMPLETED}
    assert {int(line[4]) for line in site.lines("start")} == {second}
    os.kill(third, signal.SIGCONT)
    gate = site.folder / "gate"
    both = [site.queue.enqueue(tasks.until, str(site.ledger), str(gate)) for _ in range(2)]
    assert {supervisor.runs(handle) for handle in both} == {second, third}
    gate.touch()


BY_SIGNAL = [("slot", "signal")]


def test_cont_and_usr2_together_end_paused(site, supervisor):
    """Whatever order the kernel gives them in: by a pause nothing goes wrong."""
    for _ in range(30):
        supervisor.send("SIGCONT", "SIGUSR2")
        supervisor.eventually(lambda status: status.paused)
        supervisor.ask("ping")
        assert supervisor.status.paused
        eventually(lambda: supervisor.send("SIGCONT") or not supervisor.status.paused)


def test_each_pause_is_set_and_taken_back_on_its_own(site, supervisor):
    supervisor.send("SIGUSR2")
    supervisor.eventually(lambda status: status.paused)
    supervisor.tell("pause", "default")
    supervisor.tell("pause", "default/1")
    database = site.app.database_of(site.queue.queue("default"))
    pauses.pause(database, "default", by="ann")
    handle = site.queue.enqueue(tasks.traced, str(site.ledger))
    supervisor.eventually(lambda _: {p.scope for p in supervisor.pool().paused} == {"pool", "queue"})
    supervisor.send("SIGCONT")
    supervisor.eventually(lambda status: not status.paused)
    supervisor.tell("resume", "default")
    supervisor.eventually(lambda _: {p.scope for p in supervisor.pool().paused} == {"queue"})
    assert site.lines("start") == []
    pauses.resume(database, "default")
    first, second = supervisor.pids()
    assert supervisor.runs(handle) == first
    supervisor.tell("resume", "default/1")
    gate = site.folder / "gate"
    both = [site.queue.enqueue(tasks.until, str(site.ledger), str(gate)) for _ in range(2)]
    assert {supervisor.runs(handle) for handle in both} == {first, second}
    gate.touch()
