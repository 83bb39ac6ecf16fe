"""Workers as real processes on a database server: what it takes two lines of configuration to have."""

from __future__ import annotations

import signal
import time

import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.own_servers import OwnMariadb, OwnPostgresql
from tests.support.servers import end_sessions, in_folder

pytestmark = pytest.mark.process


@pytest.fixture(params=["postgresql", "mariadb"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def project(kind, make_project, tmp_path):
    return make_project(stores=f'url = "{in_folder(kind, tmp_path)}"', defaults='lease = "2s"')


def test_a_task_runs_and_its_report_is_in_the_log(project):
    handles = [project.queue.enqueue(tasks.add, 2, number) for number in range(20)]
    assert project.drain() == 0
    assert [handle.result() for handle in handles] == [2 + number for number in range(20)]
    project.nothing_left()


def test_an_idle_worker_is_woken(project):
    worker = project.worker()
    first = project.queue.enqueue(tasks.add, 1, 1)
    assert first.wait(20) is Status.COMPLETED
    started = time.monotonic()
    assert project.queue.enqueue(tasks.add, 1, 2).wait(10) is Status.COMPLETED
    assert time.monotonic() - started < 4
    assert worker.stop() == 0


def test_what_a_killed_worker_held_runs_again_at_once_on_its_host(kind, make_project, tmp_path):
    """P3: by the proof that it is dead, long before its lease would end."""
    project = make_project(stores=f'url = "{in_folder(kind, tmp_path)}"', defaults='lease = "120s"')
    handle, first = _killed_at_work(project)
    second = project.worker()
    _runs_again(project, handle, second)
    (attempt,) = project.queue.task_log.attempts(handle.id)
    assert "died while it ran the task" in attempt.detail
    assert first.process.returncode == -signal.SIGKILL


def test_what_a_killed_worker_held_runs_again_on_another_host_when_its_lease_ends(project, monkeypatch, tmp_path):
    """P3: nobody there can tell a dead worker from one that is cut off."""
    handle, _ = _killed_at_work(project)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    _runs_again(project, handle, project.worker())
    (attempt,) = project.queue.task_log.attempts(handle.id)
    assert "lease ended" in attempt.detail


def _killed_at_work(project):
    handle = project.queue.enqueue(tasks.until, str(project.ledger), str(project.folder / "gate"))
    worker = project.worker()
    project.started(handle)
    worker.kill()
    return handle, worker


def _runs_again(project, handle, worker):
    project.started(handle, times=2)
    (project.folder / "gate").touch()
    assert handle.wait(20) is Status.COMPLETED
    assert worker.stop() == 0
    project.nothing_left()


def test_what_a_killed_worker_held_is_back_at_once_where_another_of_its_host_and_user_works(
    kind, make_project, tmp_path
):
    """P3, P4: no lease of ten minutes is waited for."""
    project = make_project(stores=f'url = "{in_folder(kind, tmp_path)}"', defaults='lease = "10m"')
    gate = project.folder / "gate"
    first = project.worker()
    handle = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    project.started(handle)
    second = project.worker()
    first.kill()
    project.started(handle, times=2)
    gate.touch()
    assert handle.wait(20) is Status.COMPLETED
    (attempt,) = project.queue.task_log.attempts(handle.id)
    assert attempt.cause.value == "crash"
    assert second.stop() == 0
    project.nothing_left()


def test_an_idle_worker_outlives_the_end_of_its_sessions(kind, project):
    worker = project.worker()
    assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    assert end_sessions(kind, project.app.settings.brokers["main"].url) >= 2
    assert project.queue.enqueue(tasks.add, 1, 2).wait(20) is Status.COMPLETED
    assert worker.stop() == 0


@pytest.mark.parametrize("server", [OwnPostgresql, OwnMariadb])
def test_an_idle_worker_outlives_a_restart_of_the_server(make_project, own, server):
    running = own(server)
    project = make_project(stores=f'url = "{running.url}"')
    project.queue.initialize()
    worker = project.worker()
    assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    running.restart()
    assert project.queue.enqueue(tasks.add, 1, 2).wait(20) is Status.COMPLETED
    assert worker.stop() == 0
    assert "Traceback" not in worker.log.read_text()


def test_a_parent_waits_for_children_that_two_workers_run(project):
    """P11"""
    handle = project.queue.enqueue(tasks.parent, 20, str(project.ledger))
    workers = [project.worker() for _ in range(2)]
    assert handle.wait(30) is Status.COMPLETED
    assert [worker.stop() for worker in workers] == [0, 0]
    children = project.queue.task_log.children(handle.id)
    assert [child.status for child in children] == [Status.COMPLETED] * 20
    project.nothing_left()
