"""A queue's place at SQS: found, or made where it is missing; its URL is kept until the next look."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from taskqueue.brokers.base import Depth
from taskqueue.brokers.sqs_calls import Calls, QueueMissing
from taskqueue.brokers.sqs_messages import FIFO, queue_name
from taskqueue.errors import ConfigurationError

#: seconds that SQS keeps a message in a queue that we make
RETENTION = 14 * 86400
#: poison is counted in the task log; this is only the net below it
MAX_RECEIVES = 1000


class Address:
    """One queue's URL and attributes. `size` is what its messages may have at most, in bytes."""

    def __init__(self, calls: Calls, name: str, options: Mapping[str, Any], *, size: int) -> None:
        self._calls, self._name, self._size = calls, name, size
        self._create = bool(options.get("create", True))
        self.dead_letters = dead_letters_of(name, options.get("dead_letter_queue"))
        self._url = ""

    @property
    def url(self) -> str:
        """Looked up, or the queue made, at the first use."""
        if not self._url:
            self._find_or_make()
        return self._url

    def call(self, name: str, *, waiting: int = 0, **parameters: Any) -> Mapping[str, Any]:
        """One call about this queue (see `Calls.call`)."""
        with self._noting_its_end():
            return self._calls.call(name, waiting=waiting, QueueUrl=self.url, **parameters)

    def batch(self, name: str, entries: Sequence[Mapping[str, Any]]) -> set[int]:
        """One batch call about this queue (see `Calls.batch`)."""
        with self._noting_its_end():
            return self._calls.batch(name, self.url, entries)

    @contextmanager
    def _noting_its_end(self) -> Iterator[None]:
        """A queue that is not there any more is looked up, or made, at the next use."""
        try:
            yield
        except QueueMissing:
            self._url = ""
            raise

    def initialize(self) -> None:
        """Find the queue; make it if it is missing and may be made. A dead letter queue that was named is attached."""
        self._find_or_make()
        if self.dead_letters and self._create and not self.attributes("RedrivePolicy").get("RedrivePolicy"):
            self._calls.call("set_queue_attributes", QueueUrl=self._url, Attributes=self._redrive())

    def _find_or_make(self) -> None:
        try:
            self._url = self._look_up(self._name)
        except QueueMissing:
            if not self._create:
                raise
            self._url = self._made(self._name, self._redrive())

    def attributes(self, *names: str) -> Mapping[str, str]:
        """What the service says about the queue."""
        with self._noting_its_end():
            return self._attributes(self.url, *names)

    def depth(self) -> Depth:
        """How many messages it has, as far as SQS knows, and when it was made."""
        number = "ApproximateNumberOfMessages"
        found = self.attributes(number, f"{number}Delayed", f"{number}NotVisible", "CreatedTimestamp")
        numbers = [int(found.get(number + kind, 0)) for kind in ("", "Delayed", "NotVisible")]
        since = int(float(found.get("CreatedTimestamp", 0))) * 1_000_000
        return Depth(numbers[0], numbers[1], numbers[2], approximate=True, since=since or None)

    def _look_up(self, name: str) -> str:
        return str(self._calls.call("get_queue_url", QueueName=name)["QueueUrl"])

    def _made(self, name: str, attributes: Mapping[str, str]) -> str:
        said = {"MessageRetentionPeriod": str(RETENTION), "MaximumMessageSize": str(self._size), **attributes}
        if name.endswith(FIFO):
            # Groups do not wait for each other, so that many of them are as fast as a queue without order.
            said |= {"FifoQueue": "true", "DeduplicationScope": "messageGroup"}
            said |= {"FifoThroughputLimit": "perMessageGroupId"}
        return str(self._calls.call("create_queue", QueueName=name, Attributes=said)["QueueUrl"])

    def _redrive(self) -> dict[str, str]:
        if not self.dead_letters:
            return {}
        try:
            url = self._look_up(self.dead_letters)
        except QueueMissing:
            url = self._made(self.dead_letters, {})
        arn = self._attributes(url, "QueueArn")["QueueArn"]
        return {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES})}

    def _attributes(self, url: str, *names: str) -> Mapping[str, str]:
        answer = self._calls.call("get_queue_attributes", QueueUrl=url, AttributeNames=list(names))
        found: Mapping[str, str] = answer.get("Attributes", {})
        return found


def dead_letters_of(name: str, said: str | None) -> str:
    """The dead letter queue of the queue of that name, "" for none: SQS wants a FIFO queue for a FIFO queue."""
    if not said:
        return ""
    found = queue_name("", said.removesuffix(FIFO) + (FIFO if name.endswith(FIFO) else ""))
    if found == name:
        raise ConfigurationError(f"SQS queue {name!r} is named as its own dead letter queue; name another one")
    return found
