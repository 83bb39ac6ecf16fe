"""What stands behind the queues: databases, the workers registered in them, the queues paused in them."""

from __future__ import annotations

import msgspec

from taskqueue.app import App
from taskqueue.brokers.base import Broker
from taskqueue.database import incarnations, pauses
from taskqueue.database.engine import Database
from taskqueue.database.incarnations import Incarnation
from taskqueue.database.pauses import Pause
from taskqueue.masking import mask_url
from taskqueue.queue import Queue


class Store(msgspec.Struct, kw_only=True):
    """One store, whatever uses it: brokers of these names, these queues, the task log.

    Without a `database`, `brokers` are its queues' own.
    """

    url: str
    broker_names: list[str]
    queues: list[str]
    task_log: bool = False
    database: Database | None = None
    brokers: list[Broker] = []

    @property
    def uses(self) -> str:
        """What it is for: `queues default, mail; task log`."""
        queues = f"queue{'s' * (len(self.queues) > 1)} {', '.join(self.queues)}" if self.queues else ""
        return "; ".join(filter(None, [queues, "task log" if self.task_log else ""]))


def stores(app: App) -> list[Store]:
    """All that the configuration uses, each once."""
    found: dict[object, Store] = {}
    for queue in app.queues.values():
        name = app.settings.queues[queue.name].broker
        database, url = app.database_at(queue, name), mask_url(app.settings.brokers[name].url)
        store = found.setdefault(database or name, Store(url=url, broker_names=[], queues=[], database=database))
        store.queues.append(queue.name)
        if name not in store.broker_names:
            store.broker_names.append(name)
        if database is None:
            store.brokers.append(queue.broker)
    log = next((queue.log_database for queue in app.queues.values()), None)
    url = mask_url(app.settings.task_log.url)
    found.setdefault(log or "task log", Store(url=url, broker_names=[], queues=[], database=log)).task_log = True
    return list(found.values())


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
