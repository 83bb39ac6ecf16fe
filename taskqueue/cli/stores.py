"""What stands behind the queues: databases, the workers registered in them, the queues paused in them."""

from __future__ import annotations

from taskqueue.app import App
from taskqueue.database import incarnations, pauses
from taskqueue.database.engine import Database
from taskqueue.database.incarnations import Incarnation
from taskqueue.database.pauses import Pause
from taskqueue.queue import Queue


def databases(app: App) -> list[Database]:
    """All of them, each once."""
    found = [database for queue in app.queues.values() if (database := app.database_of(queue)) is not None]
    return list({id(database): database for database in found}.values())


def workers_of(app: App, queue: Queue) -> list[Incarnation] | None:
    """The living workers that serve the queue; None if nobody can know."""
    database = app.database_of(queue)
    if database is None:
        return None
    return [worker for worker in incarnations.alive(database) if queue.name in worker.queues]


def pause_of(app: App, queue: Queue) -> Pause | None:
    """Who has paused the queue, if somebody has."""
    database = app.database_of(queue)
    return pauses.paused(database).get(queue.name) if database is not None else None
