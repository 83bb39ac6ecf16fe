"""Dead letters: messages that a service put aside because nobody acknowledged them. Part of `taskqueue stuck`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from taskqueue.app import App
from taskqueue.message import Delivery
from taskqueue.status import HELD, Status
from taskqueue.tasklog.entry import Entry

if TYPE_CHECKING:
    from taskqueue.brokers.base import Burying, DeadLetters

BATCH = 100
ALIVE = "its message is in the dead letter queue {}"
ENDED = "it has ended, and its message is in the dead letter queue {}"
FOREIGN = "a message in the dead letter queue {}, of no task in the log"


class Stuck(NamedTuple):
    """What `taskqueue stuck` shows of a task, or of a message of none, which has neither status nor queue."""

    id: str
    status: Status | None
    queue: str | None
    worker: str | None
    reason: str


class Found(msgspec.Struct, frozen=True):
    """A dead letter, and the entry of its task, if there is one."""

    delivery: Delivery
    entry: Entry | None

    @property
    def alive(self) -> bool:
        """Its task has not run to an end."""
        return self.entry is not None and self.entry.status in (Status.ENQUEUED, *HELD)

    @property
    def reason(self) -> str:
        """Why it is shown; the dead letter queue's name goes into it."""
        if self.entry is None:
            return FOREIGN
        return ALIVE if self.alive else ENDED


class Restarted(msgspec.Struct):
    """How many dead letters were brought back, removed because their tasks have ended, and left."""

    back: int = 0
    removed: int = 0
    kept: int = 0


def show(app: App, *, limit: int) -> Iterator[Stuck]:
    """Up to `limit` of each dead letter queue; they stay where they are."""
    for letters in _all(app):
        found = _take(app, letters, limit)
        letters.put_back([one.delivery for one in found])
        for one in found:
            entry, reason = one.entry, one.reason.format(letters.name)
            if entry is None:
                yield Stuck(one.delivery.id, None, None, None, reason)
            else:
                yield Stuck(entry.id, entry.status, entry.queue, entry.worker, reason)


def restart(app: App) -> Restarted:
    """Push those of open tasks anew, remove those of ended ones, leave the others."""
    done = Restarted()
    for letters in _all(app):
        kept: list[Delivery] = []
        while found := _take(app, letters, BATCH):
            kept += [one.delivery for one in found if not _dealt_with(app, one, done)]
            for queue in app.queues.values():
                if queue.broker.capabilities.dead_letters:
                    queue.relay(older_than=0)
            letters.delete([one.delivery for one in found if one.delivery not in kept])
        letters.put_back(kept)
        done.kept += len(kept)
    return done


def _dealt_with(app: App, one: Found, done: Restarted) -> bool:
    """Whether this one may go: to the outbox, or because its task has ended. Else it is left where it is."""
    if one.entry is None or one.entry.queue not in app.queues:
        return False
    if not one.alive:
        done.removed += 1
        return True
    queue = app.queues[one.entry.queue]
    if queue.database is None:
        queue.task_log.relayed([one.entry.id], at=None)
    done.back += 1
    return True


def _take(app: App, letters: DeadLetters, limit: int) -> list[Found]:
    log = app.task_log_broker
    return [Found(one, log.get(one.id)) for one in letters.take(limit)]


def _all(app: App) -> Iterator[DeadLetters]:
    """Those of all brokers; several queues may share one."""
    seen = set[tuple[str, str]]()
    for name, queue in app.queues.items():
        if queue.broker.capabilities.dead_letters:
            letters = cast("Burying", queue.broker).dead_letters()
            place = app.settings.queues[name].broker, letters.name
            if place not in seen:
                seen.add(place)
                yield letters
