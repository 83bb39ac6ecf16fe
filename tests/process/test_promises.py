"""What a worker that runs alone promises, told on every store: the README's table names these tests."""

from __future__ import annotations

import pytest

from taskqueue import Status
from taskqueue.ids import new_id
from taskqueue.message import Message
from tests.support import stores, tasks
from tests.support.eventually import eventually

pytestmark = pytest.mark.process


@pytest.fixture(params=stores.NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture
def project(name, make_project, tmp_path):
    project = make_project(stores=stores.configured(name, tmp_path), defaults='lease = "2s"\nmax_crashes = 1')
    project.queue.initialize()
    return project


@pytest.mark.fresh
def test_each_task_ends_as_it_should_and_the_log_says_how(project):
    """P7, P9 to P12, P14"""
    queue, log, ledger = project.queue, project.queue.task_log, str(project.ledger)
    fails, too_slow = queue.enqueue(tasks.fails), queue.enqueue(tasks.too_slow, ledger)
    parent, grieved = queue.enqueue(tasks.parent, 3, ledger), queue.enqueue(tasks.parent_of_a_failure, ledger)
    cancelled = queue.enqueue(tasks.traced, ledger)
    cancelled.cancel()
    junk = new_id()
    queue.queue("default").broker.push([Message(junk, b"\x00 not ours")])
    elsewhere = queue.options(queue="other").enqueue(tasks.add, 1, 1)
    worker = project.worker("default", "other")

    assert fails.wait(30) is Status.FAILED
    assert log.get(fails.id).attempts == 3
    assert "ValueError: no luck" in log.report(fails.id).message
    assert too_slow.wait(30) is Status.FAILED
    assert "TaskTimeout" in str(log.report(too_slow.id))
    assert parent.wait(30) is Status.COMPLETED
    assert [child.status for child in log.children(parent.id)] == [Status.COMPLETED] * 3
    assert grieved.wait(30) is Status.FAILED
    assert elsewhere.wait(30) is Status.COMPLETED
    eventually(lambda: log.categories()["failed"] == 5, what="five that failed, the broken message among them")
    (broken,) = log.search(name="?").entries
    assert "refused" in log.report(broken.id).message
    assert worker.stop() == 0
    assert cancelled.status() is Status.CANCELLED
    assert project.lines("start", cancelled.id) == []


def test_a_worker_that_is_told_to_pause_holds_nothing_and_leaves_in_peace(project):
    """P5, P6"""
    gate = project.folder / "gate"
    running = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    waiting = [project.queue.enqueue(tasks.traced, str(project.ledger)) for _ in range(5)]
    worker = project.worker()
    project.started(running)
    worker.send("SIGUSR2")
    eventually(lambda: "SIGUSR2 received: paused" in worker.log.read_text())
    gate.touch()
    assert running.wait(20) is Status.COMPLETED
    eventually(lambda: {h.status() for h in waiting} == {Status.ENQUEUED}, what="that nothing is held")
    worker.send("SIGCONT")
    assert [h.wait(30) for h in waiting] == [Status.COMPLETED] * 5
    gate.unlink()
    last = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    project.started(last)
    left = project.queue.enqueue(tasks.traced, str(project.ledger))
    worker.send("SIGTERM")
    eventually(lambda: "SIGTERM received" in worker.log.read_text())
    gate.touch()
    assert worker.wait() == 0
    assert (last.status(), left.status()) == (Status.COMPLETED, Status.ENQUEUED)


def test_a_task_that_kills_its_workers_is_given_up(project):
    """P3, P4"""
    handle = project.queue.enqueue(tasks.dies, str(project.ledger))
    for times in (1, 2):
        worker = project.worker()
        project.started(handle, times=times)
        worker.process.wait(20)
    worker = project.worker()
    assert handle.wait(30) is Status.FAILED
    assert "died under it 2 times" in project.queue.task_log.report(handle.id).message
    assert worker.stop() == 0
    assert len(project.lines("start", handle.id)) == 2


def test_the_urgent_comes_first_and_the_delayed_when_it_is_due(project, name):
    """P13: at SQS there are no priorities."""
    ledger = str(project.ledger)
    order = [project.queue.options(priority=p).enqueue(tasks.traced, ledger).id for p in (9, 5, 0)]
    late = project.queue.options(priority=9, delay=2).enqueue(tasks.traced, ledger)
    worker = project.worker()
    assert late.wait(30) is Status.COMPLETED
    assert worker.stop() == 0
    entry = project.queue.task_log.get(late.id)
    assert entry.started_at >= entry.created_at + 2_000_000 - 100_000
    if not name.startswith("sqs"):
        assert [line[1] for line in project.lines("start")] == [*reversed(order), late.id]
