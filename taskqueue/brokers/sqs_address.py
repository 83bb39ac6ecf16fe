"""A queue's place at SQS: found, or made where it is missing; its URL is kept until the next look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from taskqueue.brokers.sqs_calls import Calls, QueueMissing

#: seconds that SQS keeps a message in a queue that we make
RETENTION = 14 * 86400
#: poison is counted in the task log; this is only the net below it
MAX_RECEIVES = 1000


class Address:
    """One queue's URL and attributes. `size` is what its messages may have at most, in bytes."""

    def __init__(self, calls: Calls, name: str, options: Mapping[str, Any], *, size: int) -> None:
        self._calls, self._name, self._size = calls, name, size
        self._create = bool(options.get("create", True))
        self._dead_letters = options.get("dead_letter_queue")
        self._url = ""

    @property
    def url(self) -> str:
        """Looked up, or the queue made, at the first use."""
        if not self._url:
            self.initialize()
        return self._url

    def initialize(self) -> None:
        """Find the queue; make it if it is missing and may be made."""
        try:
            self._url = self._look_up(self._name)
        except QueueMissing:
            if not self._create:
                raise
            self._url = self._made(self._name, self._redrive())

    def attributes(self, *names: str) -> Mapping[str, str]:
        """What the service says about the queue."""
        return self._attributes(self.url, *names)

    def _look_up(self, name: str) -> str:
        return str(self._calls.call("get_queue_url", QueueName=name)["QueueUrl"])

    def _made(self, name: str, attributes: Mapping[str, str]) -> str:
        said = {"MessageRetentionPeriod": str(RETENTION), "MaximumMessageSize": str(self._size), **attributes}
        if name.endswith(".fifo"):
            said["FifoQueue"] = "true"
        return str(self._calls.call("create_queue", QueueName=name, Attributes=said)["QueueUrl"])

    def _redrive(self) -> dict[str, str]:
        if not self._dead_letters:
            return {}
        try:
            url = self._look_up(self._dead_letters)
        except QueueMissing:
            url = self._made(self._dead_letters, {})
        arn = self._attributes(url, "QueueArn")["QueueArn"]
        return {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES})}

    def _attributes(self, url: str, *names: str) -> Mapping[str, str]:
        answer = self._calls.call("get_queue_attributes", QueueUrl=url, AttributeNames=list(names))
        found: Mapping[str, str] = answer.get("Attributes", {})
        return found
