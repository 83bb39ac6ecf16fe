"""Queues over HTTP: how full they are; pause and resume them on all hosts."""

from __future__ import annotations

from taskqueue.operations import queues as operations
from taskqueue.web.desk import Desk
from taskqueue.web.states import Queue, queue_of


def index(desk: Desk) -> list[Queue]:
    """All queues."""
    return [queue_of(state) for state in operations.states(desk.app)]


def get(desk: Desk, queue: str) -> Queue:
    """One queue."""
    return queue_of(operations.state_of(desk.app, desk.app.dispatcher.queue(queue)))


def pause(desk: Desk, queue: str) -> Queue:
    """Let no worker of the fleet start a task of it. One that is paused already stays as it is."""
    operations.pause(desk.app, queue, by=desk.by)
    return get(desk, queue)


def resume(desk: Desk, queue: str) -> Queue:
    """Let workers start its tasks again. Pauses of workers, pools and hosts are others, and stay."""
    operations.resume(desk.app, queue)
    return get(desk, queue)
