"""The store is away: the worker waits, keeps its reports, and says so once (P15, P16)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.eventually import eventually
from tests.support.project import Project

pytestmark = pytest.mark.process


@contextmanager
def changed(project: Project) -> Iterator[sqlite3.Connection]:
    """The store, changed behind everybody's back."""
    with closing(sqlite3.connect(project.folder / "tasks.db")) as connection, connection:
        yield connection


def test_a_worker_weathers_an_outage_and_keeps_its_reports(make_project):
    project = make_project(app="enqueue_timeout = 0.2")
    gate = project.folder / "gate"
    handle = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    waiting = [project.queue.enqueue(tasks.add, n, 1) for n in range(5)]
    worker = project.worker()
    project.started(handle)
    blocker = sqlite3.connect(project.folder / "tasks.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    gate.touch()
    eventually(lambda: project.lines("end", handle.id))
    eventually(lambda: "store away" in worker.log.read_text())
    assert not handle.status().ended, "its report is kept, not stored"
    blocker.execute("COMMIT")
    blocker.close()
    assert handle.wait(20) is Status.COMPLETED
    assert all(h.wait(20) is Status.COMPLETED for h in waiting)
    assert worker.stop() == 0
    log = worker.log.read_text()
    assert log.count("store back") == log.count("store away") >= 1
    assert len(project.lines("start", handle.id)) == 1
    project.nothing_left()


def test_an_enqueue_against_a_store_that_hangs_raises_in_time(make_project):
    """P1: it never returns as if all were well."""
    from taskqueue import BrokerUnavailable

    project = make_project(app="enqueue_timeout = 0.2")
    project.queue.enqueue(tasks.add, 1, 1)
    blocker = sqlite3.connect(project.folder / "tasks.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(BrokerUnavailable, match="locked"):
        project.queue.enqueue(tasks.add, 1, 1)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert sum(project.queue.task_log.categories().values()) == 1


def test_a_worker_that_was_declared_dead_begins_again(project):
    """R1: its claims are refused from then on, as this incarnation's."""
    worker = project.worker()
    assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    with changed(project) as connection:
        connection.execute("DELETE FROM taskqueue_worker")
    assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    assert "begins again" in worker.log.read_text()
    assert worker.stop() == 0
    project.nothing_left()


def test_a_paused_queue_is_left_alone_by_every_worker(project):
    """P6: fleet-wide, kept in the database."""
    with changed(project) as connection:
        project.queue.initialize()
        connection.execute("INSERT INTO taskqueue_queue (name, paused_at, paused_by) VALUES ('default', 1, 'ann')")
    paused = project.queue.enqueue(tasks.add, 1, 1)
    other = project.queue.options(queue="other").enqueue(tasks.add, 2, 2)
    worker = project.worker("default", "other")
    assert other.wait(20) is Status.COMPLETED
    assert paused.status() is Status.ENQUEUED
    with changed(project) as connection:
        connection.execute("DELETE FROM taskqueue_queue")
    assert paused.wait(20) is Status.COMPLETED
    assert worker.stop() == 0


def test_drain_does_not_wait_for_a_paused_queue(project):
    with changed(project) as connection:
        project.queue.initialize()
        connection.execute("INSERT INTO taskqueue_queue (name, paused_at, paused_by) VALUES ('default', 1, 'ann')")
    paused = project.queue.enqueue(tasks.add, 1, 1)
    assert project.worker("default", "other", "--drain").wait() == 0
    assert project.worker("default", "--drain").wait() == 0
    assert paused.status() is Status.ENQUEUED


def test_an_idle_worker_sleeps(project):
    import psutil

    worker = project.worker("default", "other")
    eventually(lambda: len(list(project.folder.glob("tasks.db-wake-*"))) == 2)
    process = psutil.Process(worker.pid)
    before = process.cpu_times()
    switches = process.num_ctx_switches().voluntary
    eventually(lambda: process.num_ctx_switches().voluntary > switches + 20, what="some life")
    used = sum(process.cpu_times()[:2]) - sum(before[:2])
    assert used < 0.5, f"{used:.2f} s of CPU for 20 turns of an idle worker"
    assert worker.stop() == 0
