"""A relay to SQS that does, at random, all that SQS promises it may do: at least once, in any order, at any time."""

from __future__ import annotations

import json
import threading
from collections import Counter
from random import Random
from typing import Any

from tests.support.sqs_double import Relay

_UNAVAILABLE = 503, b'{"__type": "com.amazonaws.sqs#ServiceUnavailable"}'
#: of so many requests of its kind one goes wrong in that way
_ODDS = {
    "error": 20,
    "answer lost": 20,
    "sent twice": 6,
    "late": 4,
    "delivered again": 6,
    "delete forgotten": 6,
}


class UnrulySqs(Relay):
    """As `seed` says. While it is `broken` nothing gets through; once it is `calm` it only passes on."""

    def __init__(self, target: str, seed: int) -> None:
        super().__init__(target)
        self.calm = False
        self.done: Counter[str] = Counter()
        self._random = Random(seed)
        self._lock = threading.Lock()

    def passed_on(self, headers: Any, body: bytes) -> tuple[int, bytes]:
        if self.broken or self.calm:
            return super().passed_on(headers, body)
        if self._does("error"):
            return _UNAVAILABLE
        answer = self._in_its_way(headers, body, headers["X-Amz-Target"].rpartition(".")[2])
        return _UNAVAILABLE if self._does("answer lost") else answer

    def _in_its_way(self, headers: Any, body: bytes, action: str) -> tuple[int, bytes]:
        if action == "SendMessageBatch":
            return self._send(headers, json.loads(body))
        if action == "ReceiveMessage":
            return self._receive(headers, body)
        if action == "DeleteMessageBatch" and self._does("delete forgotten"):
            ids = [{"Id": entry["Id"]} for entry in json.loads(body)["Entries"]]
            return 200, json.dumps({"Successful": ids, "Failed": []}).encode()
        return super().passed_on(headers, body)

    def _send(self, headers: Any, request: dict[str, Any]) -> tuple[int, bytes]:
        for entry in request["Entries"]:
            if self._does("late"):
                entry["DelaySeconds"] = entry.get("DelaySeconds", 0) + self._drawn(1, 3)
        body = json.dumps(request).encode()
        if self._does("sent twice"):
            super().passed_on(headers, body)
        return super().passed_on(headers, body)

    def _receive(self, headers: Any, body: bytes) -> tuple[int, bytes]:
        status, answer = super().passed_on(headers, body)
        messages = json.loads(answer).get("Messages", []) if status == 200 else []
        if messages and self._does("delivered again"):
            shown = {"ReceiptHandle": messages[0]["ReceiptHandle"], "VisibilityTimeout": 0}
            again = {"QueueUrl": json.loads(body)["QueueUrl"], **shown}
            target = {"X-Amz-Target": "AmazonSQS.ChangeMessageVisibility"}
            super().passed_on({**dict(headers.items()), **target}, json.dumps(again).encode())
        return status, answer

    def _does(self, what: str) -> bool:
        with self._lock:
            if self._random.randrange(_ODDS[what]):
                return False
            self.done[what] += 1
            return True

    def _drawn(self, low: int, high: int) -> int:
        with self._lock:
            return self._random.randint(low, high)
