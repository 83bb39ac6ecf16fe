"""The store is away: the worker waits, keeps its reports, and says so once (P15, P16)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from taskqueue import Status
from taskqueue.worker.leaving import Limits
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


@contextmanager
def unreachable(project: Project, name: str = "tasks.db") -> Iterator[None]:
    """The store's file is out of reach: where it was there is a folder."""
    file = project.folder / name
    aside = file.rename(file.with_suffix(".aside"))
    file.mkdir()
    yield
    file.rmdir()
    aside.rename(file)


def test_an_idle_worker_weathers_an_outage(project):
    worker = project.worker("default", "other")
    assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    with unreachable(project):
        eventually(lambda: "store away" in worker.log.read_text())
    assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    assert worker.stop() == 0
    log = worker.log.read_text()
    assert log.count("store back") == log.count("store away") == 1
    assert "Traceback" not in log


def test_an_idle_worker_can_be_stopped_in_an_outage(project):
    worker = project.worker()
    assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    with unreachable(project):
        eventually(lambda: "store away" in worker.log.read_text())
        assert worker.stop() == 0
    assert project.drain() == 0
    project.nothing_left()


def test_a_stop_that_means_now_does_not_wait_for_a_store_that_is_away(project):
    """The report is lost, the task is not: it runs again, and nobody counts a crash."""
    gate = project.folder / "gate"
    handle = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    worker = project.worker()
    project.started(handle)
    with unreachable(project):
        eventually(lambda: "store away" in worker.log.read_text())
        gate.touch()
        eventually(lambda: project.lines("end", handle.id))
        worker.send("SIGTERM")
        eventually(lambda: "SIGTERM received" in worker.log.read_text())
        worker.insist("SIGTERM")
        assert worker.wait() == 0
    eventually(lambda: project.drain() == 0 and handle.status() is Status.COMPLETED)
    assert project.queue.task_log.get(handle.id).crashes == 0
    project.nothing_left()


def test_a_store_that_is_away_stops_no_queue_of_another(make_project):
    """P14."""
    project = make_project(
        app='[brokers.far]\nurl = "sqlite:///far.db"\n[queues.far]\nbroker = "far"', defaults='broker = "main"'
    )
    worker = project.worker("default", "far")
    assert project.queue.options(queue="far").enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    with unreachable(project, "far.db"):
        eventually(lambda: "store away" in worker.log.read_text())
        for _ in range(20):
            assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    assert project.queue.options(queue="far").enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    assert worker.stop() == 0


def test_a_time_limit_holds_while_a_store_keeps_its_caller_waiting(make_project):
    project = make_project(app="enqueue_timeout = 60")
    handle = project.queue.enqueue(tasks.slow_and_tells, str(project.ledger))
    worker = project.worker()
    project.started(handle)
    with closing(sqlite3.connect(project.folder / "tasks.db", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        eventually(lambda: project.lines("timeout", handle.id))
        blocker.execute("ROLLBACK")
    assert handle.wait(20) is Status.FAILED
    assert worker.stop() == 0


def test_a_task_whose_lease_is_lost_is_ended_with_its_worker_if_it_does_not_yield(make_project):
    """P2, R3: whoever has the lease now may start it."""
    project = make_project(defaults="lease = 1.5")
    handle = project.queue.enqueue(tasks.stubborn, str(project.ledger))
    worker = project.worker()
    project.started(handle)
    with changed(project) as connection:
        connection.execute("DELETE FROM taskqueue_lease")
    eventually(lambda: project.lines("caught", handle.id))
    assert worker.wait() != 0
    assert "Thread" in worker.log.read_text(), "the stacks are in the log"


def test_what_a_worker_may_hold_is_given_back_when_its_lifeline_breaks(project):
    """An error that nobody foresaw: exit 1, and another worker runs what waited."""
    handles = [project.queue.enqueue(tasks.add, n, 1) for n in range(20)]
    worker = project.app.worker(["default"], Limits())
    queue = project.app.queues["default"]
    real = queue.turn

    def turn(*args: Any, **kwargs: Any) -> Any:
        if worker.taken > 3:
            raise RuntimeError("nobody foresaw this")
        return real(*args, **kwargs)

    queue.turn = turn
    assert worker.run() == 1
    queue.turn = real
    assert project.drain() == 0
    assert all(h.status() is Status.COMPLETED for h in handles)
    project.nothing_left()
