"""Moves the messages of a queue from one broker to another, while producers and workers go on at both.

The entry decides who runs a task (its compare-and-set and its fence), whichever message of it comes first. So a message
may be at both brokers for a while, and must never be at neither without its entry saying so:

* The destination stands in the task log's own database: there the message and the entry's word that it was handed over
  are one transaction, which commits before the source's does.
* Elsewhere the task log is the outbox (P1): in the transaction that takes a message from the source its entry is marked
  as not handed over, and once it is pushed, as handed over. Who dies in between leaves what a keeper of the new
  configuration, or the next move, pushes.
* A source that only hides messages (`Broker.capabilities.recovers` is False) keeps them until they are pushed.

Nothing is leased at a source that gives back what the dead held: to give back a message that is running at the
destination already would bring its entry back with it (P2).

Messages of tasks that have ended are dropped. Those that no entry stands behind are moved as they are, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from taskqueue.brokers.base import Emptiable
from taskqueue.errors import ConfigurationError
from taskqueue.ids import is_id, new_id
from taskqueue.keeper import RELAY_AFTER
from taskqueue.message import Delivery, Message
from taskqueue.queue import Queue
from taskqueue.status import HELD, Status

#: messages in one step: a crash leaves at most so many to be moved again
BATCH = 100
#: seconds that a source which only hides messages hides those of one step
HIDDEN = 60.0
_MOVABLE = (Status.ENQUEUED, *HELD)


class Step(msgspec.Struct, frozen=True):
    """What one step did, in messages. `deferred` wait in the task log for longer than the destination could delay."""

    moved: int = 0
    dropped: int = 0
    deferred: int = 0

    @property
    def idle(self) -> bool:
        """Nothing was found."""
        return not (self.moved or self.dropped)


class Mover:
    """One queue, as it is at the source and as it is at the destination. Both have the same task log.

    `strangers` names those of these ids that have their entry in another task log, the source's own. `switched`: the
    configuration names the destination already, so that its keeper pushes what is to wait in the outbox.
    Raises ConfigurationError where messages cannot be moved without risk.
    """

    def __init__(
        self,
        source: Queue,
        destination: Queue,
        *,
        switched: bool = True,
        strangers: Callable[[Sequence[str]], set[str]] = lambda _: set(),
    ) -> None:
        _refuse(source, destination)
        self.source = source
        self.destination = destination
        self._task_log = destination.task_log
        self._strangers = strangers
        can = destination.broker.capabilities
        self._largest = can.max_body
        # What the destination cannot delay waits in the outbox; but not where the source's keeper would push it back.
        self._longest = None if switched or source.database is not None else can.max_delay
        #: tasks whose message is too large for the destination, as far as they were met
        self.unfit: set[str] = set()

    def step(self, *, limit: int = BATCH) -> Step:
        """Move up to `limit` messages. Raises BrokerUnavailable; nothing is lost then, and the next step goes on."""
        self.source.recover()
        broker = self.source.broker
        if isinstance(broker, Emptiable):
            return self._take(broker, min(limit, BATCH))
        return self._pass_on(min(limit, BATCH))

    def relay(self, *, older_than: float = RELAY_AFTER) -> int:
        """Push to the destination what the task log holds as not handed over; how many."""
        found = self.destination.intake.left_behind(older_than=older_than, limit=BATCH)
        messages = [self.destination.intake.message_of(entry) for entry in found]
        fitting = [message for message in messages if self._fits(message)]
        self._hand_over(fitting)
        return len(fitting)

    # A source that is a database

    def _take(self, broker: Emptiable, limit: int) -> Step:
        sorted_out: list[tuple[list[Message], list[Message]]] = []

        def settle(taken: Sequence[Message]) -> None:
            sorted_out[:] = [self._settle(taken)]

        taken = broker.take(limit=limit, largest=self._largest, longest=self._longest, settle=settle)
        if not taken:
            return Step()
        outbox, dropped = sorted_out[0]
        late = [m for m in outbox if self.destination.intake.too_late(m.delay)]
        self._hand_over([m for m in outbox if m not in late])
        return Step(len(taken) - len(dropped), len(dropped), len(late))

    def _settle(self, taken: Sequence[Message]) -> tuple[list[Message], list[Message]]:
        """Before the source forgets these; those that are still to be pushed, and those that are dropped."""
        known, unknown, ended = self._sorted_out(taken)
        if self.destination.database is not None:
            self._hand_over([*known, *unknown])
            return [], ended
        self._task_log.relayed([message.id for message in known], at=None)
        self._hand_over(unknown)  # no entry is their outbox
        return known, ended

    # A source that hides messages and brings them back by itself

    def _pass_on(self, limit: int) -> Step:
        broker = self.source.broker
        deliveries = broker.pop(limit=limit, lease=HIDDEN)
        fitting = [delivery for delivery in deliveries if self._fits(delivery)]
        broker.release([d for d in deliveries if d not in fitting], delay=HIDDEN)
        known, unknown, ended = self._sorted_out([_message(delivery) for delivery in fitting])
        self._hand_over([*known, *unknown])
        broker.ack(fitting)
        return Step(len(known) + len(unknown), len(ended))

    # Both

    def _fits(self, message: Message | Delivery) -> bool:
        if len(message.body) > self._largest:
            self.unfit.add(message.id)
        return message.id not in self.unfit

    def _sorted_out(self, messages: Sequence[Message]) -> tuple[list[Message], list[Message], list[Message]]:
        """Those whose task is to be run, those that no entry stands behind, and those of ended tasks."""
        statuses = self._task_log.statuses([message.id for message in messages])
        unknown = [message for message in messages if message.id not in statuses]
        if unknown and (elsewhere := self._strangers([message.id for message in unknown])):
            raise ConfigurationError(
                f"queue {self.source.name!r}: task {min(elsewhere)} has its entry in the source's own task log and not "
                "in that of this configuration; name the log that has it: [task_log] url"
            )
        known = [message for message in messages if statuses.get(message.id) in _MOVABLE]
        ended = [m for m in messages if m.id in statuses and statuses[m.id] not in _MOVABLE]
        return known, [_named(message) for message in unknown], ended

    def _hand_over(self, messages: Sequence[Message]) -> None:
        """Push, and say so in the entries."""
        if not messages:
            return
        most = self.destination.broker.capabilities.max_delay
        fitting = [m if most is None else msgspec.structs.replace(m, delay=min(m.delay, most)) for m in messages]
        database = self.destination.database
        if database is None:
            self.destination.intake.push(fitting)
            return

        def together() -> None:
            with database.begin():
                self.destination.intake.push(fitting)

        database.turn(together)


def _refuse(source: Queue, destination: Queue) -> None:
    name, can = source.name, destination.broker.capabilities
    if source.broker.capabilities.immediate:
        raise ConfigurationError(f"queue {name!r}: its source is in memory, where tasks run at once: nothing to move")
    if not (can.durable and can.shared):
        raise ConfigurationError(
            f"queue {name!r}: the destination keeps messages in one process only, and they would end with it; "
            "move to a database or to SQS"
        )
    if source.broker.capabilities.recovers and not isinstance(source.broker, Emptiable):
        raise ConfigurationError(
            f"queue {name!r}: messages of this source cannot be taken without a lease; let its workers drain it: "
            f"`taskqueue worker {name} --drain`"
        )


def _message(delivery: Delivery) -> Message:
    return Message(delivery.id, delivery.body, delivery.priority, alone=delivery.alone)


def _named(message: Message) -> Message:
    """A stranger's message under an id that every store takes."""
    return message if is_id(message.id) else msgspec.structs.replace(message, id=new_id())
