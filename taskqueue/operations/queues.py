"""Queues: how full they are, who serves them, and the fleet-wide pause."""

from __future__ import annotations

import msgspec

from taskqueue.app import App
from taskqueue.database import pauses
from taskqueue.database.engine import Database
from taskqueue.database.pauses import Pause
from taskqueue.errors import ConfigurationError
from taskqueue.operations.stores import pause_of, workers_of
from taskqueue.queue import Queue
from taskqueue.status import Status


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """One queue at one moment. Counts are messages; `store` is the name of its broker."""

    queue: str
    waiting: int
    delayed: int
    leased: int
    #: the counts are about so many, as far as its service knows
    approximate: bool
    #: how long its oldest due task has waited, in seconds; None if none waits
    oldest: float | None
    #: living workers that serve it; None: nobody can know
    workers: int | None
    pause: Pause | None
    store: str


def states(app: App) -> list[QueueState]:
    """All configured queues. Raises BrokerUnavailable if one of their stores is away."""
    return [state_of(app, queue) for queue in app.queues.values()]


def state_of(app: App, queue: Queue) -> QueueState:
    """The queue as it stands now. Raises BrokerUnavailable."""
    depth = queue.broker.depth()
    workers = workers_of(app, queue)
    return QueueState(
        queue=queue.name,
        waiting=depth.waiting,
        delayed=depth.delayed,
        leased=depth.leased,
        approximate=depth.approximate,
        oldest=oldest_waiting(app, queue) if depth.waiting else None,
        workers=None if workers is None else len(workers),
        pause=pause_of(app, queue),
        store=app.settings.brokers[app.settings.queues[queue.name].broker].name,
    )


def oldest_waiting(app: App, queue: Queue) -> float | None:
    """How long the oldest task that is due has waited, in seconds; None if none waits among the first 50."""
    now = app.clock.micros()
    page = app.task_log.search(queue=queue.name, status=Status.ENQUEUED, descending=False)
    since = [entry.due_at or entry.created_at for entry in page.entries]
    return max(((now - at) / 1e6 for at in since if at <= now), default=None)


def pause(app: App, name: str, *, by: str) -> bool:
    """Let no worker of the fleet start a task of that queue (P6); False if it is paused already: that pause stands.

    `by` is shown to people. Raises UnknownQueue, and ConfigurationError for a queue in memory.
    """
    return pauses.pause(_pausable(app, name), name, by=by)


def resume(app: App, name: str) -> bool:
    """Let workers start its tasks again; False if it was not paused. Raises as `pause` does.

    Pauses of workers, pools and hosts are others, and stay.
    """
    return pauses.resume(_pausable(app, name), name)


def _pausable(app: App, name: str) -> Database:
    database = app.database_of(app.dispatcher.queue(name))
    if database is None:
        raise ConfigurationError(f"queue {name!r} is in memory: its tasks run where they are enqueued, at once")
    return database
