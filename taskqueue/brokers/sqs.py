"""A queue at AWS SQS, or at a server that speaks it.

SQS leases by making a message invisible, brings messages back by itself, and delivers some twice or late. So this
broker does not know who else holds what (`recovers` is False): the queue keeps that beside the entries, where a
compare-and-set makes such deliveries harmless (R7). What this handle holds it knows by its own clock, and no later.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self

from taskqueue.brokers.base import Capabilities, Depth, refuse_too_large
from taskqueue.brokers.sqs_address import RETENTION, Address
from taskqueue.brokers.sqs_calls import Calls
from taskqueue.brokers.sqs_dead import SqsDeadLetters
from taskqueue.brokers.sqs_held import LONGEST_LEASE, Held
from taskqueue.brokers.sqs_messages import (
    BATCH,
    FIFO,
    Posted,
    batches,
    by_itself,
    delivery,
    group_id,
    largest_body,
    posted,
    queue_name,
)
from taskqueue.brokers.sqs_poll import LongPoll
from taskqueue.errors import BrokerUnavailable, ConfigurationError
from taskqueue.ids import new_id
from taskqueue.message import Delivery, Lost, Message
from taskqueue.plugins import Store

MAX_DELAY = 900
#: a FIFO queue takes no delay for a single message: each is too long
NO_DELAY = 1e-6
#: what a long poll brings is hidden so long at first: its process may be gone by then
POLL_LEASE = 10
#: so long a closing handle waits for its poll
LAST_POLL = 1.5


class SqsQueueBroker:
    """A queue at SQS. Safe in threads and after a fork."""

    def __init__(
        self,
        queue: str,
        *,
        region: str,
        options: Mapping[str, Any],
        owner: str | None = None,
        longest_lease: float = LONGEST_LEASE,
    ) -> None:
        self.queue = queue
        self.owner = owner or new_id()
        self._name = queue_name(options.get("prefix", "taskqueue_"), queue)
        self._fifo = self._name.endswith(FIFO)
        self._wait_time = int(options.get("wait_time", 20))
        self._size = int(options.get("max_message_size", 256 * 1024))
        self.capabilities = Capabilities(
            durable=True,
            shared=True,
            transactional=False,
            recovers=False,
            once=False,
            exact=False,
            ordered=False,
            groups=self._fifo,
            dead_letters=bool(options.get("dead_letter_queue")),
            any_name=False,
            max_batch=BATCH,
            max_delay=NO_DELAY if self._fifo else MAX_DELAY,
            # In a group what is put off must stay where it is.
            max_release=None if self._fifo else MAX_DELAY,
            max_body=largest_body(self._size),
            keeps=float(options.get("repush_after", RETENTION / 2)),
        )
        self._opened = partial(
            Calls, region=region, endpoint=options.get("endpoint_url"), create=options.get("create", True)
        )
        self._calls = self._opened(self._name)
        self._address = Address(self._calls, self._name, options, size=self._size)
        self._poll = LongPoll(self._receive_waiting, self.release)
        self._held = Held(longest_lease)

    @classmethod
    def open(cls, store: Store, queue: str, *, owner: str | None = None) -> Self:
        region = store.url.partition("://")[2].rstrip("/")
        if not region or not region.replace("-", "").isalnum():
            raise ConfigurationError(
                f"queue {queue!r}: its broker's url names a region and nothing else, as in sqs://eu-west-1; "
                "credentials are those that boto3 finds, another server is endpoint_url"
            )
        return cls(queue, region=region, options=store.options, owner=owner)

    def initialize(self) -> None:
        self._address.initialize()

    # Messages

    def push(self, messages: Sequence[Message]) -> None:
        refuse_too_large(self.queue, messages, self.capabilities.max_body)
        _ = self._address.url  # where nothing is pushed too: whether the queue can be had at all
        self._send([posted(message, alone=message.alone) for message in messages])

    def _send(self, messages: Sequence[Posted]) -> None:
        for batch in batches(messages, self._size):
            entries = [self._entry(one) for one in batch]
            done = self._address.batch("send_message_batch", entries)
            if len(done) < len(batch):
                raise BrokerUnavailable(
                    f"SQS queue {self._name!r} refused {len(batch) - len(done)} of {len(batch)} messages; look at its "
                    "MaximumMessageSize, which must not be smaller than max_message_size in the broker's table"
                )

    def _entry(self, one: Posted) -> dict[str, Any]:
        entry = {"MessageBody": one.text, "MessageAttributes": one.attributes()}
        if self._fifo:
            # A message that is pushed again must arrive again: the task log tells twins apart, not SQS.
            return entry | {"MessageGroupId": group_id(one.message), "MessageDeduplicationId": new_id()}
        return entry | {"DelaySeconds": min(MAX_DELAY, math.ceil(one.message.delay))}

    def pop(self, *, limit: int, lease: float) -> list[Delivery]:
        taken = self._taken(limit, lease)
        while len(taken) < limit:
            found = self._receive(min(BATCH, limit - len(taken)), lease)
            if not found:
                break
            taken += found
        return self._alone_by_itself(taken)

    def _taken(self, limit: int, lease: float) -> list[Delivery]:
        """What the long poll brought, for the whole of its lease from now on."""
        arrived = self._poll.take(limit)
        kept = self.extend(arrived, lease=lease) if arrived else set()
        return [one for one in arrived if one.receipt in kept]

    def _alone_by_itself(self, taken: list[Delivery]) -> list[Delivery]:
        kept = by_itself(taken)
        if len(kept) < len(taken):
            self.release([one for one in taken if one not in kept])
        return kept

    def _receive(self, number: int, lease: float, *, wait: int = 0) -> list[Delivery]:
        sent, seconds = time.monotonic(), _whole(lease)
        answer = self._address.call(
            "receive_message",
            waiting=wait,
            MaxNumberOfMessages=number,
            VisibilityTimeout=seconds,
            WaitTimeSeconds=wait,
            MessageAttributeNames=["All"],
        )
        now = time.monotonic()
        # Hidden from some moment of the call on: when it was sent, at the worst; of a long poll only SQS knows.
        until = sent + seconds if not wait else now + seconds
        if until <= now:
            return []  # the answer took longer than the lease
        found = [delivery(one) for one in answer.get("Messages", ())]
        self._held.add(found, received=sent, until=until)
        return found

    def _receive_waiting(self, seconds: int) -> list[Delivery]:
        return self._receive(1, POLL_LEASE, wait=seconds)

    # Leases

    def ack(self, deliveries: Sequence[Delivery]) -> set[str]:
        return self._at_ours(deliveries, "delete_message_batch", {})

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> set[str]:
        seconds = _whole(lease)
        until = time.monotonic() + seconds
        young = self._held.young(deliveries, until=until)
        return self._at_ours(young, "change_message_visibility_batch", {"VisibilityTimeout": seconds}, until=until)

    def release(self, deliveries: Sequence[Delivery], *, delay: float = 0.0, alone: bool = False) -> set[str]:
        if alone:
            return self._send_anew([one for one in deliveries if not one.alone], delay) | self.release(
                [one for one in deliveries if one.alone], delay=delay
            )
        hidden = {"VisibilityTimeout": max(0, min(math.ceil(delay), self._held.time_left(deliveries)))}
        return self._at_ours(deliveries, "change_message_visibility_batch", hidden)

    def _send_anew(self, deliveries: Sequence[Delivery], delay: float) -> set[str]:
        """Attributes of a message never change: another takes its place."""
        ours = {lease.delivery.receipt for lease in self._held.ours(deliveries)}
        again = [Message(d.id, d.body, d.priority, delay) for d in deliveries if d.receipt in ours]
        self._send([posted(message, alone=True) for message in again])
        self.ack(deliveries)
        return ours

    def _at_ours(
        self, deliveries: Sequence[Delivery], call: str, said: Mapping[str, Any], *, until: float | None = None
    ) -> set[str]:
        """Do this to what this handle still holds; which. Without `until` it is not held any more then."""
        done: set[str] = set()
        ours = self._held.ours(deliveries)
        for start in range(0, len(ours), BATCH):
            batch = ours[start : start + BATCH]
            entries = [{"ReceiptHandle": lease.delivery.receipt, **said} for lease in batch]
            places = self._address.batch(call, entries)
            done |= {batch[place].delivery.receipt for place in places}
            self._held.note(batch, places, until=until)
        return done

    def recover(self, owners: Sequence[str] = ()) -> list[Lost]:
        return []

    def reveal(self, receipts: Sequence[str]) -> None:
        for start in range(0, len(receipts), BATCH):
            shown = [{"ReceiptHandle": one, "VisibilityTimeout": 0} for one in receipts[start : start + BATCH]]
            self._address.batch("change_message_visibility_batch", shown)

    def dead_letters(self) -> SqsDeadLetters:
        name = self._address.dead_letters
        return SqsDeadLetters(self._opened(name), name, wait=min(1, self._wait_time))

    # Looking

    def wait(self, timeout: float, *, interrupt: int | None = None) -> bool:
        if self.ready():
            return True
        return self._poll.wait(timeout, interrupt, longest=self._wait_time)

    def ready(self) -> bool:
        if not self._poll.ready and not self._poll.going_on:
            # Looking is leasing: what is found is kept for the next pop. Counts at SQS may be a minute old.
            self._poll.put(self._receive(1, POLL_LEASE))
        return self._poll.ready

    def depth(self) -> Depth:
        return self._address.depth()

    def due_in(self) -> float | None:
        return None

    def close(self) -> None:
        self._poll.close(LAST_POLL)
        self._calls.close()


def _whole(lease: float) -> int:
    return max(1, min(LONGEST_LEASE, math.ceil(lease)))
