"""Why a task stands where it stands: what the stores know of it, in sentences."""

from __future__ import annotations

from collections import Counter

from taskqueue.app import App
from taskqueue.errors import ConfigurationError
from taskqueue.operations.reasons import UNSEEN, Facts, why
from taskqueue.operations.stores import pause_of, workers_of
from taskqueue.queue import Queue
from taskqueue.tasklog.entry import Entry
from taskqueue.tasklog.reading import TaskLog


def why_of(app: App, entry: Entry, *, task_log: TaskLog | None = None) -> list[str]:
    """Why a task does not run, or why it ended as it did, and what to do; what matters most first.

    Of other tasks it tells what `task_log` (perhaps one owner's view) may see. Raises BrokerUnavailable.
    """
    return why(_facts(app, entry, task_log or app.dispatcher.task_log))


def _facts(app: App, entry: Entry, log: TaskLog) -> Facts:
    queue = app.queues.get(entry.queue)
    children = log.children(entry.id) if entry.has_children else []
    facts = Facts(
        entry=entry,
        now=app.clock.micros(),
        queue_known=queue is not None,
        name_known=_knows(app, entry.name),
        children=Counter(child.status for child in children),
    )
    if queue is None or entry.status.ended:
        return facts
    workers = workers_of(app, queue)
    return Facts(
        entry=entry,
        now=facts.now,
        name_known=facts.name_known,
        children=facts.children,
        pause=pause_of(app, queue),
        workers=None if workers is None else tuple(worker.slot for worker in workers),
        waiting=queue.broker.depth().waiting,
        turn=_turn(log, queue, entry),
    )


def _turn(log: TaskLog, queue: Queue, entry: Entry) -> str | None:
    """The task of its group whose turn it is, if this view may see it."""
    turn = queue.task_log.turns([entry.id]).get(entry.id)
    if turn is None or log.owner is None:
        return turn
    return turn if log.search(id=turn, limit=1).entries else UNSEEN


def _knows(app: App, name: str) -> bool | None:
    try:
        app.import_modules()
    except ConfigurationError:
        return None
    return name in app.registry
