"""Children that a task forks are processes of their own: no order of theirs is the worker's, and none is a worker."""

from __future__ import annotations

import os
import signal

import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.eventually import eventually

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("fork", "name"),
    [
        (tasks.forks, "SIGTERM"),
        (tasks.forks, "SIGINT"),
        (tasks.forks, "SIGUSR2"),
        (tasks.forks_in_a_thread, "SIGTERM"),
    ],
)
def test_a_signal_to_a_child_ends_the_child_and_is_no_order_to_the_worker(project, fork, name):
    handle = project.queue.enqueue(fork, str(project.ledger))
    worker = project.worker()
    [line] = eventually(lambda: project.lines("child", handle.id), what="the child")
    os.kill(int(line[4]), getattr(signal, name))
    assert handle.wait(20) is Status.COMPLETED
    assert handle.result() == -getattr(signal, name)
    assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED, "the worker goes on"
    assert f"{name} received" not in worker.log.read_text()
    assert worker.stop() == 0
    project.nothing_left()


def test_a_child_that_is_ended_as_soon_as_it_is_forked_takes_nobody_with_it(project):
    handle = project.queue.enqueue(tasks.forks_and_terminates_at_once, 30)
    worker = project.worker()
    assert handle.wait(30) is Status.COMPLETED
    assert handle.result() == [-signal.SIGTERM] * 30
    assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    assert "SIGTERM received" not in worker.log.read_text()
    assert worker.stop() == 0


@pytest.mark.parametrize(("how", "code"), [("return", 1), ("raise", 1), ("exit", 3)])
def test_a_child_that_leaves_the_task_is_no_second_worker(project, how, code):
    handle = project.queue.enqueue(tasks.both_come_back, str(project.ledger), how)
    worker = project.worker()
    assert handle.wait(20) is Status.COMPLETED
    assert handle.result() == code
    assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    assert worker.stop() == 0
    assert len(project.lines("start", handle.id)) == 1
    assert project.queue.task_log.attempts(handle.id) == []
    log = worker.log.read_text()
    assert log.count("only its parent is a worker") == (how != "exit")
    assert "task failed" not in log
    project.nothing_left()
