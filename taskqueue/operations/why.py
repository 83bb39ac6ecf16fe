"""Why a task stands where it stands: what the stores know of it, in sentences."""

from __future__ import annotations

from collections import Counter

from taskqueue.app import App
from taskqueue.errors import ConfigurationError
from taskqueue.operations.reasons import Facts, why
from taskqueue.operations.stores import pause_of, workers_of
from taskqueue.tasklog.entry import Entry


def why_of(app: App, entry: Entry) -> list[str]:
    """Why a task does not run, or why it ended as it did, and what to do; what matters most first.

    Raises BrokerUnavailable.
    """
    return why(_facts(app, entry))


def _facts(app: App, entry: Entry) -> Facts:
    queue = app.queues.get(entry.queue)
    children = app.dispatcher.task_log.children(entry.id) if entry.has_children else []
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
        turn=queue.task_log.turns([entry.id]).get(entry.id),
    )


def _knows(app: App, name: str) -> bool | None:
    try:
        app.import_modules()
    except ConfigurationError:
        return None
    return name in app.registry
