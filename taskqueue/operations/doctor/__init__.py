"""What is wrong, and what to do about it: every examination there is. What does not answer is told of once."""

from __future__ import annotations

from collections.abc import Iterator

from taskqueue.app import App
from taskqueue.database.engine import Database
from taskqueue.operations.doctor import hosts, queues, sqs, stores
from taskqueue.operations.doctor.finding import Finding as Finding
from taskqueue.operations.doctor.finding import examined, well
from taskqueue.queue import Queue


def examine(app: App) -> list[Finding]:
    """What is wrong, and what is well. It changes nothing, and takes as long as what does not answer lets it."""
    return list(examinations(app))


def examinations(app: App) -> Iterator[Finding]:
    """The same, each as soon as it is found."""
    yield well("configuration", str(app.settings.file))
    yield from examined("modules", lambda: queues.modules(app))
    opened: list[Queue] = []
    for name in app.settings.queues:
        yield from examined(f"queue {name}", lambda found=name: _open(app, found, opened))  # type: ignore[misc]  # bound now
    away: set[Database] = set()
    for database in stores.databases(app, opened):
        yield from stores.examine_database(app, database, away)
    if away.isdisjoint(queue.log_database for queue in opened):
        yield from examined("clock", lambda: stores.clock(app))
    for queue in opened:
        yield from _queue(app, queue, away)
    if len(opened) == len(app.settings.queues) and not away:
        yield from examined("hosts", lambda: hosts.supervisors(app))
        yield from examined("stuck tasks", lambda: queues.stuck_tasks(app))


def _open(app: App, name: str, opened: list[Queue]) -> Iterator[Finding]:
    """Nothing to tell of, unless it cannot be opened."""
    opened.append(app.queue_at(name, app.settings.queues[name].broker))
    yield from ()


def _queue(app: App, queue: Queue, away: set[Database]) -> Iterator[Finding]:
    name = f"queue {queue.name}"
    broker = app.settings.brokers[app.settings.queues[queue.name].broker]
    if sqs.serves(broker):
        yield from examined(name, lambda: sqs.queue(app, queue.name))
    if away.isdisjoint({app.database_of(queue), queue.log_database}):
        yield from examined(name, lambda: queues.queue(app, queue))
