"""Tasks that nobody works on any more, though they have not ended, and how they come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from taskqueue.app import App
from taskqueue.database import stranded
from taskqueue.database.engine import Database
from taskqueue.database.stranded import Reason
from taskqueue.keeper import RELAY_AFTER
from taskqueue.message import Message
from taskqueue.operations import dead
from taskqueue.operations.dead import Restarted, Stuck
from taskqueue.queue import Queue
from taskqueue.status import Status
from taskqueue.tasklog.entry import Cause

BATCH = 500
NOT_PUSHED = "its message has not reached its queue"


def find(app: App, *, limit: int) -> Iterator[Stuck]:
    """All of them, up to `limit` for each reason.

    Ended leases, entries without a message, messages that were not pushed, parents whose children have all ended, and
    what lies in dead letter queues. Raises BrokerUnavailable.
    """
    for database, names in _by_database(app).items():
        for one in stranded.find(database, names, limit=limit):
            # A service keeps its messages out of our sight: that it has none is no sign.
            if one.reason is not Reason.NO_MESSAGE or app.queues[one.queue].database is not None:
                yield Stuck(one.id, one.status, one.queue, one.worker, one.reason.value)
    for queue in app.queues.values():
        if queue.database is None:
            for entry in queue.intake.left_behind(older_than=RELAY_AFTER, limit=limit):
                yield Stuck(entry.id, entry.status, entry.queue, entry.worker, NOT_PUSHED)
    yield from dead.show(app, limit=limit)


def restart(app: App, *, progress: Callable[[int], None] = lambda _done: None) -> Restarted:
    """Give them back to their queues now; `progress` hears how many were brought back so far. Raises BrokerUnavailable.

    A task whose worker is still alive is never touched: its lease says so. What is given back counts as a lost lease.
    """
    done = 0
    for queue in app.queues.values():
        done += _restart(app, queue, lambda n, before=done: progress(before + n))  # type: ignore[misc]  # bound now
    letters = dead.restart(app)
    return Restarted(back=done + letters.back, removed=letters.removed, kept=letters.kept)


def _by_database(app: App) -> dict[Database, list[str]]:
    """Databases in which entries and leases stand together, and whose queues."""
    found: dict[Database, list[str]] = {}
    for queue in app.queues.values():
        if (database := _leases_of(queue)) is not None:
            found.setdefault(database, []).append(queue.name)
    return found


def _leases_of(queue: Queue) -> Database | None:
    """The database in which the queue's leases stand beside its entries."""
    return queue.database if queue.broker.capabilities.recovers else queue.log_database


def _restart(app: App, queue: Queue, show: Callable[[int], None]) -> int:
    done, database = 0, _leases_of(queue)
    if database is not None:
        done += len(queue.recover(stranded.dead_owners(database)))
        while back := _bring_back(app, queue, database):
            done += back
            show(done)
    return done if queue.database is not None else done + queue.relay(older_than=RELAY_AFTER)


def _bring_back(app: App, queue: Queue, database: Database) -> int:
    """A batch, found and brought back in one transaction; how many."""

    def ids(*reasons: Reason) -> dict[str, int]:
        found = stranded.find(database, [queue.name], limit=BATCH)
        return {one.id: one.fence for one in found if one.reason in reasons}

    def step() -> int:
        with database.begin():
            held, parents = ids(Reason.NO_LEASE), ids(Reason.CHILDREN_ENDED)
            queue.task_log.release(held, cause=Cause.LEASE_LOST, detail="brought back by hand")
            queue.task_log.settle(parents)
            if queue.database is None:
                queue.task_log.relayed(list(held), at=None)
                return len(held.keys() | parents.keys())
            lost = ids(Reason.NO_MESSAGE)
            queue.broker.push([message for task_id in lost if (message := _message(app, queue, task_id)) is not None])
            return len(held.keys() | parents.keys() | lost.keys())

    return database.turn(step)


def _message(app: App, queue: Queue, task_id: str) -> Message | None:
    entry = queue.task_log.get(task_id)
    if entry is None or entry.status is not Status.ENQUEUED:
        return None
    wait = max(0.0, ((entry.due_at or 0) - app.clock.micros()) / 1e6)
    return Message(entry.id, entry.payload, entry.priority, wait)
