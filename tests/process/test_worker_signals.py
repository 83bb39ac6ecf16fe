"""Signals to a worker that runs alone, as the original's readme has them (P5, P6)."""

from __future__ import annotations

import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.eventually import eventually

pytestmark = [pytest.mark.process, pytest.mark.fresh]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_a_stop_ends_the_current_task_first_and_returns_the_rest(project, name):
    gate = project.folder / "gate"
    running = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    waiting = [project.queue.enqueue(tasks.add, n, 1) for n in range(5)]
    worker = project.worker()
    project.started(running)
    worker.send(name)
    eventually(lambda: f"{name} received" in worker.log.read_text())
    gate.touch()
    assert worker.wait() == 0
    assert running.result() == "the file is there"
    assert {h.status() for h in waiting} == {Status.ENQUEUED}
    assert project.queue.queue("default").broker.depth().waiting == 5


def test_an_idle_worker_leaves_at_once(project):
    worker = project.worker()
    eventually(lambda: list(project.folder.glob("tasks.db-wake-default")))
    assert worker.stop() == 0
    project.nothing_left()


def test_a_long_task_may_see_that_its_worker_stops(project):
    handle = project.queue.enqueue(tasks.until_stopping, str(project.ledger))
    worker = project.worker()
    project.started(handle)
    assert worker.stop() == 0
    assert handle.status() is Status.ENQUEUED


def test_a_second_term_means_now_and_counts_as_no_crash(project):
    gate = project.folder / "never"
    handle = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    worker = project.worker()
    project.started(handle)
    worker.send("SIGTERM")
    eventually(lambda: "SIGTERM received" in worker.log.read_text())
    worker.insist("SIGTERM")
    assert worker.wait() == 0
    entry = project.queue.task_log.get(handle.id)
    assert (entry.status, entry.crashes, entry.attempts) == (Status.ENQUEUED, 0, 0)
    assert [a.cause.value for a in project.queue.task_log.attempts(handle.id)] == ["stopped"]
    project.queue.task_log.cancel(handle.id)
    project.drain()
    project.nothing_left()


def test_a_task_that_does_not_yield_is_ended_with_its_worker_and_counts_as_no_crash(project):
    handle = project.queue.enqueue(tasks.stubborn, str(project.ledger))
    worker = project.worker()
    project.started(handle)
    worker.send("SIGTERM")
    eventually(lambda: "SIGTERM received" in worker.log.read_text())
    worker.insist("SIGINT")
    assert worker.wait() != 0
    assert "Thread" in worker.log.read_text(), "the stacks are in the log"
    assert project.worker("other", "--for", "1.5").wait() == 0, "a survivor does the keeper's duties"
    entry = project.queue.task_log.get(handle.id)
    assert (entry.status, entry.crashes) == (Status.ENQUEUED, 0)


def test_grace_ends_a_stop_that_takes_too_long(make_project):
    project = make_project(grace=0.3)
    handle = project.queue.enqueue(tasks.until, str(project.ledger), "/nonexistent/gate")
    worker = project.worker()
    project.started(handle)
    worker.send("SIGTERM")
    assert worker.wait() == 0
    assert handle.status() is Status.ENQUEUED


def test_a_paused_worker_starts_nothing_and_holds_nothing_that_has_not_started(project):
    gate = project.folder / "gate"
    running = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    worker = project.worker()
    project.started(running)
    worker.send("SIGUSR2")
    eventually(lambda: "SIGUSR2 received: paused" in worker.log.read_text())
    waiting = [project.queue.enqueue(tasks.add, n, 1) for n in range(5)]
    gate.touch()
    assert running.wait(20) is Status.COMPLETED, "what runs ends, and its report is stored"
    other = project.worker("default", "--limit", "2")
    assert other.wait() == 0
    assert sorted(h.status() for h in waiting) == [Status.ENQUEUED] * 3 + [Status.COMPLETED] * 2
    worker.send("SIGCONT")
    assert all(h.wait(20) is Status.COMPLETED for h in waiting)
    assert worker.stop() == 0


def test_a_paused_worker_can_be_stopped(project):
    worker = project.worker()
    eventually(lambda: list(project.folder.glob("tasks.db-wake-default")))
    worker.send("SIGUSR2")
    eventually(lambda: "SIGUSR2 received" in worker.log.read_text())
    assert worker.stop() == 0


def test_a_storm_of_signals_leaves_a_worker_that_works(project):
    worker = project.worker()
    eventually(lambda: list(project.folder.glob("tasks.db-wake-default")))
    for _ in range(500):
        worker.send("SIGUSR2")
        worker.send("SIGCONT")
    handle = project.queue.enqueue(tasks.add, 1, 1)

    def resumed() -> bool:
        # Again and again: the kernel does not order two signals that are pending together.
        worker.send("SIGCONT")
        return handle.status().ended

    eventually(resumed)
    assert handle.result() == 2
    assert worker.stop() == 0


def runs_past_its_time(project, handle):
    """A worker that runs the task when its time is over, and that time: a busy machine may use up a short one."""

    def begun():
        return project.lines("start", handle.id)

    for seconds in (0.2, 1.0, 5.0, 20.0):
        worker = project.worker("default", "--for", str(seconds))
        eventually(lambda worker=worker: begun() or worker.process.poll() is not None)
        if begun():
            return worker, seconds
    raise AssertionError("no worker came to run the task")


def test_the_first_term_after_a_limit_is_the_first(project):
    """A worker that leaves by itself was not told to hurry: a TERM on top is one, and the task still ends in peace."""
    gate = project.folder / "gate"
    handle = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    worker, _ = runs_past_its_time(project, handle)
    eventually(lambda: not list(project.folder.glob("tasks.db-wake-*")) or worker.process.poll() is None)
    worker.send("SIGTERM")
    eventually(lambda: "SIGTERM received: leaving after the current task" in worker.log.read_text())
    gate.touch()
    assert worker.wait() == 0
    assert handle.status() is Status.COMPLETED


def test_grace_does_not_hurry_who_leaves_by_itself(make_project):
    """R19."""
    project = make_project(grace=0.2)
    gate = project.folder / "gate"
    handle = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    _, seconds = runs_past_its_time(project, handle)
    other = project.worker("other", "--for", str(seconds + 1.3))
    assert other.wait() == 0, "longer than both"
    gate.touch()
    assert handle.wait(20) is Status.COMPLETED
    assert len(project.lines("start", handle.id)) == 1
