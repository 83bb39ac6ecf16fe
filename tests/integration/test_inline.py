"""Queues in memory are worked off in the caller, to their end, whatever stands in them (R18, P7)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskqueue import Status, hooks, task
from taskqueue.app import App
from taskqueue.message import Message
from taskqueue.settings import parse
from tests.support import tasks

NO_TASK = "0" * 36
gate, inside = threading.Event(), threading.Event()


@task
def waits() -> str:
    inside.set()
    assert gate.wait(20)
    return "through"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    text = '[brokers.main]\nurl = "memory://"\n[queues.default]\n'
    app = App(parse(text, file=tmp_path / "taskqueue.toml"))
    gate.clear()
    inside.clear()
    yield app
    app.close()
    hooks.HOOKS.clear()


@pytest.mark.parametrize("junk", [1, 3])
def test_what_waits_behind_messages_without_a_task_runs(app: App, junk: int) -> None:
    broker = app.dispatcher.queue("default").broker
    broker.push([Message(NO_TASK, b"no message of ours") for _ in range(junk)])
    handle = app.dispatcher.enqueue(tasks.add, 2, 3)
    assert handle.status() is Status.COMPLETED
    assert broker.depth().total == 0


def test_a_second_message_of_a_task_that_runs_elsewhere_is_dropped_and_not_looked_at_for_ever(app: App) -> None:
    """P2: there is nothing to hide it behind in memory, and the run that goes on has its own."""
    slow = threading.Thread(target=app.dispatcher.enqueue, args=(waits,))
    slow.start()
    assert inside.wait(20)
    queue = app.dispatcher.queue("default")
    (running,) = app.dispatcher.task_log.search(status="dequeued").entries
    queue.broker.push([Message(running.id, running.payload)])
    try:
        assert app.dispatcher.enqueue(tasks.add, 2, 3).status() is Status.COMPLETED
    finally:
        gate.set()
        slow.join()
    assert app.dispatcher.handle(running.id).result() == "through"
    assert queue.broker.depth().total == 0


def test_what_a_task_raises_does_not_reach_the_caller(app: App) -> None:
    def leave(*_: object) -> None:
        raise SystemExit(3)

    hooks.on_failure(leave)
    handle = app.dispatcher.enqueue(tasks.asks_for_ever)
    assert handle.status() is Status.FAILED
    assert app.dispatcher.enqueue(tasks.add, 2, 3).result() == 5
