"""What a message looks like at SQS: text in the characters that it takes, and attributes for the rest."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from taskqueue.errors import ConfigurationError
from taskqueue.message import DEFAULT_PRIORITY, HIGHEST, LOWEST, Delivery, Message

#: the most that one message's attributes take, in bytes: the id is at most 255 characters
ATTRIBUTES = 2048
#: entries in one call
BATCH = 10
#: how the names of queues end that keep groups in order
FIFO = ".fifo"
_LONGEST_NAME = 80
_GROUP = re.compile(r"[\x21-\x7e]{1,128}")
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.fifo)?")
#: characters that SQS refuses
_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN, _BASE64 = "plain", "base64"
#: a body has at least one character
_EMPTY = "="


class Posted(msgspec.Struct, frozen=True):
    """A message as it is sent."""

    message: Message
    text: str
    encoding: str
    alone: bool = False

    @property
    def size(self) -> int:
        """What SQS counts, at most."""
        return len(self.text.encode()) + ATTRIBUTES

    def attributes(self) -> dict[str, Any]:
        """Everything but the body."""
        said = {"id": self.message.id, "priority": str(self.message.priority), "encoding": self.encoding}
        if self.alone:
            said["alone"] = "1"
        return {name: {"DataType": "String", "StringValue": value} for name, value in said.items()}


def largest_body(message_size: int) -> int:
    """Bytes of any kind that fit into a message of that size: base64 makes four of three."""
    return (message_size - ATTRIBUTES) // 4 * 3


def queue_name(prefix: str, queue: str) -> str:
    """The queue's name at SQS; ConfigurationError if SQS has no such names."""
    name = prefix + queue
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"queue {queue!r}: SQS takes names of up to {_LONGEST_NAME} letters, digits, '-' and '_' (and '.fifo' at "
            f"the end), and with its prefix this one is {name!r}; rename the queue, or change the broker's prefix"
        )
    return name


def group_id(message: Message) -> str:
    """Its group as SQS takes it. A message that belongs to none has one of its own, and so no order."""
    if message.group is None:
        return message.id
    if _GROUP.fullmatch(message.group):
        return message.group
    return hashlib.sha256(message.group.encode()).hexdigest()


def posted(message: Message, *, alone: bool = False) -> Posted:
    """How that message is sent: our own are text, whatever else there may be goes as base64."""
    try:
        text = message.body.decode()
    except UnicodeDecodeError:
        text = ""
    if text and not _REFUSED.search(text):
        return Posted(message, text, _PLAIN, alone)
    return Posted(message, base64.b64encode(message.body).decode() or _EMPTY, _BASE64, alone)


def batches(messages: Sequence[Posted], most: int) -> Iterator[list[Posted]]:
    """In order, no more in one than a call takes, by number and by bytes."""
    batch: list[Posted] = []
    for one in messages:
        if len(batch) == BATCH or (batch and sum(x.size for x in batch) + one.size > most):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def by_itself(taken: list[Delivery]) -> list[Delivery]:
    """Those of a batch that may go on together: what must be leased singly comes by itself."""
    first = next((one for one in taken if one.alone), None)
    if first is None or len(taken) == 1:
        return taken
    return [first] if taken[0] is first else [one for one in taken if not one.alone]


def delivery(received: Mapping[str, Any]) -> Delivery:
    """What its holder gets. A message from somebody else has no attributes of ours; the task log sorts it out."""
    said = {name: str(value.get("StringValue", "")) for name, value in received.get("MessageAttributes", {}).items()}
    return Delivery(
        said.get("id") or str(received["MessageId"]),
        _body(str(received["Body"]), said.get("encoding", _PLAIN)),
        str(received["ReceiptHandle"]),
        _priority(said.get("priority", "")),
        "alone" in said,
    )


def _body(text: str, encoding: str) -> bytes:
    if encoding != _BASE64:
        return text.encode()
    try:
        return base64.b64decode("" if text == _EMPTY else text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()


def _priority(text: str) -> int:
    return int(text) if text.isdecimal() and HIGHEST <= int(text) <= LOWEST else DEFAULT_PRIORITY
