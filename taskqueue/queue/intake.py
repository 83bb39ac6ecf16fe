"""What comes into a queue: new tasks, what the outbox still holds, and messages from somewhere else."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from msgspec.structs import replace

from taskqueue import codec
from taskqueue.brokers.base import Broker
from taskqueue.clock import Clock
from taskqueue.database.engine import Database
from taskqueue.errors import (
    BrokerUnavailable,
    LeaseLost,
    MessageInvalid,
    MessageTooLarge,
    QueueFull,
    TaskQueueError,
)
from taskqueue.ids import is_id, new_id
from taskqueue.message import Delivery, Message
from taskqueue.queue.at_once import AtOnce
from taskqueue.queue.values import Limits, Parent
from taskqueue.report import Report
from taskqueue.status import Status
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.tasklog.entry import Entry

log = logging.getLogger(__name__)

#: seconds between two looks for messages that may be lost
LOOK_FOR_LOST = 15.0


class Intake:
    """The way in. Entry and message are stored together, or the entry first and the message from it (P1)."""

    def __init__(
        self, broker: Broker, task_log: TaskLogBroker, limits: Limits, database: Database | None, clock: Clock
    ) -> None:
        self.name = broker.queue
        self.broker = broker
        self.task_log = task_log
        self.limits = limits
        self.database = database
        self.clock = clock
        self._at_once = AtOnce.of(database, task_log, broker, self.name)
        self._look_for_lost_at = 0.0

    def enqueue(
        self, batch: Sequence[tuple[Entry, Message]], *, parent: Parent | None = None, joined: bool = False
    ) -> list[str]:
        """Store entries and messages, all or none; the ids that were new. See `Queue.enqueue`."""
        self._refuse_too_large(batch)
        if self._at_once is not None and parent is None and len(batch) == 1 and self._at_once.takes(*batch[0]):
            return self._enqueue_one(self._at_once, *batch[0])
        if self.database is not None:
            return self.database.turn(lambda: self._enqueue_together(batch, parent))
        return self._enqueue_through_outbox(batch, parent, joined=joined)

    def _enqueue_one(self, at_once: AtOnce, entry: Entry, message: Message) -> list[str]:
        assert self.database is not None
        self._refuse_when_full(1)
        relayed = replace(entry, relayed_at=self.clock.micros())
        return self.database.turn(lambda: at_once.enqueue(relayed, message))

    def _enqueue_together(self, batch: Sequence[tuple[Entry, Message]], parent: Parent | None) -> list[str]:
        assert self.database is not None
        now = self.clock.micros()
        with self.database.begin():
            self._refuse_when_full(len(batch))
            new = self._add([replace(entry, relayed_at=now) for entry, _ in batch], parent)
            fresh = set(new)
            self.broker.push([message for _, message in batch if message.id in fresh])
        return new

    def _enqueue_through_outbox(
        self, batch: Sequence[tuple[Entry, Message]], parent: Parent | None, *, joined: bool
    ) -> list[str]:
        self._refuse_when_full(len(batch))
        # Nothing may leave before the application commits; the keeper pushes it then.
        away = joined or not self._broker_answers()
        new = self._add([entry for entry, _ in batch], parent)
        fresh = set(new)
        if not away:
            self._push_if_possible([m for _, m in batch if m.id in fresh and not self.too_late(m.delay)])
        return new

    def _broker_answers(self) -> bool:
        """Whether to push at all. What can never work is refused here, before anything is stored."""
        try:
            self.broker.push([])
        except BrokerUnavailable as error:
            self._left_behind(error)
            return False
        return True

    def _push_if_possible(self, messages: Sequence[Message]) -> None:
        try:
            self.push(messages)
        except TaskQueueError as error:
            # The task is enqueued: its entry says so, and the keeper pushes what was left behind.
            self._left_behind(error)

    def _left_behind(self, error: TaskQueueError) -> None:
        log.warning("push failed, the keeper will repeat it", extra={"queue": self.name, "error": str(error)})

    def _add(self, entries: Sequence[Entry], parent: Parent | None) -> list[str]:
        if parent is not None and not self.task_log.adopt_child(parent.id, fence=parent.fence):
            raise LeaseLost(f"task {parent.id} is not this worker's any more: it may not create children")
        return self.task_log.add(entries)

    def push(self, messages: Sequence[Message]) -> None:
        """Hand these to the broker, and note it in their entries; part of the thread's open transaction."""
        most = self.broker.capabilities.max_batch
        for start in range(0, len(messages), most):
            chunk = messages[start : start + most]
            self.broker.push(chunk)
            self.task_log.relayed([message.id for message in chunk], at=self.clock.micros())

    def too_late(self, delay: float) -> bool:
        """Whether the broker cannot delay a message for so long; it waits in the log then, and the keeper pushes it."""
        most = self.broker.capabilities.max_delay
        return bool(most) and delay > (most or 0)

    def relay(self, *, older_than: float, limit: int = 500) -> int:
        """Push messages that their producers could not (P1), and those that may be lost; how many."""
        left = self.left_behind(older_than=older_than, limit=limit) + self._perhaps_lost(limit)
        fitting = [entry for entry in left if len(entry.payload) <= self.broker.capabilities.max_body]
        if len(fitting) < len(left):
            # They came by a broker that takes more (P14: the others do not wait for them).
            log.error(
                "too large for this broker, left in the log",
                extra={"queue": self.name, "tasks": len(left) - len(fitting)},
            )
        self.push([self.message_of(entry) for entry in sorted(fitting, key=_place)])
        return len(fitting)

    def left_behind(self, *, older_than: float, limit: int) -> list[Entry]:
        """Entries whose message should be with the broker and is not."""
        now, most = self.clock.micros(), self.broker.capabilities.max_delay
        due = now + int(most * 1e6) if most else None
        return self.task_log.unrelayed(before=now - int(older_than * 1e6), limit=limit, queue=self.name, due=due)

    def _perhaps_lost(self, limit: int) -> list[Entry]:
        """Where the store does not keep messages for ever: those that nobody has taken for so long (R7)."""
        keeps, now = self.broker.capabilities.keeps, self.clock.monotonic()
        if keeps is None or now < self._look_for_lost_at:
            return []
        self._look_for_lost_at = now + LOOK_FOR_LOST
        # What was sent to a queue that has been deleted since went with it.
        before = max(self.clock.micros() - int(keeps * 1e6), self.broker.depth().since or 0)
        return self.task_log.unheard_of(before=before, limit=limit, queue=self.name)

    def push_again(self, ids: Sequence[str]) -> None:
        """New messages for these tasks, if they are enqueued."""
        found = [entry for i in ids if (entry := self.task_log.get(i)) is not None]
        back = [entry for entry in found if entry.status is Status.ENQUEUED]
        self._push_if_possible([self.message_of(entry) for entry in back])

    def message_of(self, entry: Entry) -> Message:
        """The message of an entry that is enqueued, to be pushed now."""
        return Message(
            entry.id, entry.payload, entry.priority, self.wait_of(entry), alone=entry.alone, group=entry.group_name
        )

    def wait_of(self, entry: Entry) -> float:
        """Seconds until that task is due."""
        return max(0.0, ((entry.due_at or 0) - self.clock.micros()) / 1e6)

    def _refuse_too_large(self, batch: Sequence[tuple[Entry, Message]]) -> None:
        most = self.broker.capabilities.max_body
        for entry, message in batch:
            if len(message.body) > most:
                raise MessageTooLarge(
                    f"{entry.name}: the message has {len(message.body):,} bytes, queue {self.name!r} takes {most:,}; "
                    "store the data elsewhere and pass a reference"
                )

    def _refuse_when_full(self, more: int) -> None:
        most = self.limits.max_waiting
        if not most:
            return
        depth = self.broker.depth()
        if depth.waiting + depth.delayed + more > most:
            raise QueueFull(
                f"queue {self.name!r} holds {depth.waiting + depth.delayed:,} waiting tasks and takes {most:,} "
                "(max_waiting); try again later or start more workers"
            )

    def adopt(self, delivery: Delivery) -> bool:
        """Give a message from somewhere else an entry; False (and a failed entry) if it is no message of ours."""
        now = self.clock.micros()
        try:
            header = codec.peek(delivery.body)
            if header.id != delivery.id:
                raise MessageInvalid(f"the message names task {header.id}, its envelope {delivery.id}")
        except MessageInvalid as error:
            log.error("message refused", extra={"queue": self.name, "task_id": delivery.id, "error": str(error)})
            self.task_log.add([self._failed_entry(delivery, str(error), now)])
            return False
        self.task_log.add([self._adopted_entry(header, delivery, now)])
        return True

    def _adopted_entry(self, header: codec.Header, delivery: Delivery, now: int) -> Entry:
        return Entry(
            id=header.id,
            name=header.name,
            queue=self.name,
            priority=delivery.priority,
            label=header.label,
            owner=header.owner,
            category=header.category,
            parent_id=header.parent_id,
            master_status=header.master_status,
            payload=delivery.body,
            created_at=header.created_at,
            relayed_at=now,
        )

    def _failed_entry(self, delivery: Delivery, why: str, now: int) -> Entry:
        report = Report.error(f"The message was refused: {why}. It was removed from the queue and is kept here.")
        return Entry(
            id=delivery.id if is_id(delivery.id) else new_id(),
            name="?",
            queue=self.name,
            status=Status.FAILED,
            priority=delivery.priority,
            payload=delivery.body,
            report=codec.encode_report(report),
            created_at=now,
            finished_at=now,
            relayed_at=now,
        )


def _place(entry: Entry) -> tuple[int, str]:
    """The order in which those of a group must be pushed."""
    return entry.place or 0, entry.id
