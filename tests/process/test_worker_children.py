"""Parents and children, cancelling, progress: across real processes (P11, P12)."""

from __future__ import annotations

import msgspec
import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.eventually import eventually

pytestmark = pytest.mark.process


def test_a_parent_is_completed_when_all_its_children_are(project):
    handle = project.queue.enqueue(tasks.parent, 20, str(project.ledger))
    workers = [project.worker(), project.worker()]
    assert handle.wait(20) is Status.COMPLETED
    children = project.queue.task_log.children(handle.id)
    assert [child.status for child in children] == [Status.COMPLETED] * 20
    parent = project.queue.task_log.get(handle.id)
    assert parent.finished_at >= max(child.finished_at for child in children)
    assert [w.stop() for w in workers] == [0, 0]


def test_a_parent_fails_with_its_child(project):
    handle = project.queue.enqueue(tasks.parent_of_a_failure, str(project.ledger))
    worker = project.worker()
    assert handle.wait(20) is Status.FAILED
    assert "1 of 1" in "".join(report.message for report in handle.report().walk())
    worker.stop()


def test_a_task_that_was_cancelled_before_it_started_never_starts(project):
    handle = project.queue.enqueue(tasks.traced, str(project.ledger))
    assert handle.cancel().value == "cancelled"
    project.drain()
    assert handle.status() is Status.CANCELLED
    assert project.lines() == []
    project.nothing_left()


def test_a_running_task_sees_that_it_was_cancelled(project):
    handle = project.queue.enqueue(tasks.until_cancelled, str(project.ledger))
    worker = project.worker()
    project.started(handle)
    assert handle.cancel().value == "requested"
    assert handle.wait(20) is Status.CANCELLED
    assert worker.stop() == 0
    project.nothing_left()


def test_a_running_task_shows_its_progress_and_its_worker(project):
    gate = project.folder / "gate"
    handle = project.queue.enqueue(tasks.progressing, str(project.ledger), str(gate))
    worker = project.worker()
    entry = eventually(lambda: (e := project.queue.task_log.get(handle.id)).progress and e)
    assert msgspec.json.decode(entry.progress) == {"done": 3, "total": 7, "message": "third of seven"}
    assert entry.status is Status.RUNNING
    assert str(worker.pid) in entry.worker
    gate.touch()
    assert handle.wait(20) is Status.COMPLETED
    worker.stop()
