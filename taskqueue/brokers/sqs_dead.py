"""The dead letter queue: where SQS puts what was received too often. Maybe that of several queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taskqueue.brokers.sqs_calls import Calls
from taskqueue.brokers.sqs_messages import BATCH, delivery
from taskqueue.message import Delivery

#: seconds for which what is looked at is hidden
LOOK = 120


class SqsDeadLetters:
    """The messages of the dead letter queue of that name. SQS is asked for `wait` seconds whether there are any."""

    def __init__(self, calls: Calls, name: str, *, wait: int) -> None:
        self.name = name
        self._wait = wait
        self._calls = calls
        self._url = ""

    def take(self, limit: int) -> list[Delivery]:
        taken: list[Delivery] = []
        while len(taken) < limit and (found := self._receive(min(BATCH, limit - len(taken)))):
            taken += found
        return taken

    def _receive(self, number: int) -> list[Delivery]:
        # A poll that does not wait asks a few of the servers only, and may find nothing where there is something.
        answer = self._calls.call(
            "receive_message",
            waiting=self._wait,
            QueueUrl=self._address(),
            MaxNumberOfMessages=number,
            VisibilityTimeout=LOOK,
            WaitTimeSeconds=self._wait,
            MessageAttributeNames=["All"],
        )
        return [delivery(one) for one in answer.get("Messages", ())]

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        self._each("change_message_visibility_batch", deliveries, {"VisibilityTimeout": 0})

    def delete(self, deliveries: Sequence[Delivery]) -> None:
        self._each("delete_message_batch", deliveries, {})

    def _each(self, call: str, deliveries: Sequence[Delivery], said: Mapping[str, Any]) -> None:
        for start in range(0, len(deliveries), BATCH):
            batch = deliveries[start : start + BATCH]
            self._calls.batch(call, self._address(), [{"ReceiptHandle": one.receipt, **said} for one in batch])

    def _address(self) -> str:
        if not self._url:
            self._url = str(self._calls.call("get_queue_url", QueueName=self.name)["QueueUrl"])
        return self._url
