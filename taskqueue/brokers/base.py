"""The broker contract. `tests/contract/test_broker.py` is its definition; this page is its summary.

A broker stores messages of one queue and leases them out. It never fails silently: a store that does not answer
raises `BrokerUnavailable`, which is not an empty queue (P16).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, Self, runtime_checkable

import msgspec

from taskqueue.errors import MessageTooLarge
from taskqueue.message import Delivery, Lost, Message
from taskqueue.plugins import Store


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker can do. Ask these, never its name."""

    #: messages outlive the processes
    durable: bool
    #: other processes see them
    shared: bool
    #: pushes and acks take part in a database transaction (`taskqueue.database`)
    transactional: bool
    #: messages are leased, and come back when the lease ends
    leases: bool = True
    #: enqueuing runs the task at once, in the caller
    immediate: bool = False
    #: it knows who holds what: `recover` gives back what the dead hold at once, and tells what came back. Else the
    #: store does that by itself when a lease ends, and the queue keeps who holds what beside the entries
    recovers: bool = True
    #: what one holds no other gets; else it may now and then, and the task log's claim tells who runs it
    once: bool = True
    #: priorities and strict order are kept
    ordered: bool = True
    #: counts, and when the next message is due, are known exactly
    exact: bool = True
    #: of messages of one group one at a time is held, in order; such a broker is `Revealing`
    groups: bool = False
    #: what was received too often is put aside; such a broker is `Burying`
    dead_letters: bool = False
    #: a queue's name may have any letters
    any_name: bool = True
    #: messages in one call to the store
    max_batch: int = 500
    #: longest delay in seconds; None: any; 0: delays are ignored
    max_delay: float | None = None
    #: longest delay of a release in seconds; None: any (what comes earlier is put off again)
    max_release: float | None = None
    #: largest body in bytes
    max_body: int = 16 * 1024 * 1024
    #: seconds after which a message that nobody has taken may be lost, so that it is pushed again; None: none is lost
    keeps: float | None = None

    @property
    def delays(self) -> bool:
        """Whether a message can be made to wait."""
        return self.max_delay != 0


class Depth(msgspec.Struct, frozen=True):
    """How many messages a queue holds. `approximate` says that the store only estimates."""

    waiting: int
    delayed: int
    leased: int
    approximate: bool = False
    #: the store began to keep this queue then (microseconds since 1970): what was pushed before is lost
    since: int | None = None

    @property
    def total(self) -> int:
        """All that are not acknowledged."""
        return self.waiting + self.delayed + self.leased


class Broker(Protocol):
    """One queue's messages in one store, as one process sees them."""

    capabilities: Capabilities
    queue: str
    #: the incarnation in whose name this handle pops (R2): a worker puts its own here, having registered it
    owner: str

    @classmethod
    def open(cls, store: Store, queue: str, *, owner: str | None = None) -> Self:
        """The broker of that queue in that store; touches nothing yet. Without an `owner` it pops in its own name."""

    def initialize(self) -> None:
        """Create what is missing and touch nothing else (P17)."""

    def push(self, messages: Sequence[Message]) -> None:
        """Store all of them or none."""

    def pop(self, *, limit: int, lease: float) -> list[Delivery]:
        """Lease up to `limit` due messages for `lease` seconds: by priority, then first in, first out.

        Never waits. A delivery with `alone` set comes by itself. Raises Deposed where `recover` has named our owner.
        """

    def ack(self, deliveries: Sequence[Delivery]) -> set[str]:
        """Forget these messages; the receipts that were still ours."""

    def extend(self, deliveries: Sequence[Delivery], *, lease: float) -> set[str]:
        """Renew these leases to `lease` seconds from now; the receipts that were still ours."""

    def release(self, deliveries: Sequence[Delivery], *, delay: float = 0.0, alone: bool = False) -> set[str]:
        """Give these back, due after `delay` seconds; the receipts that were still ours.

        Without a delay they come before what waits at the same priority.
        """

    def recover(self, owners: Sequence[str] = ()) -> list[Lost]:
        """Return to the queue what ended leases held, and all that these dead owners hold; tell which.

        These owners get nothing more, though a claim of theirs may still be on its way (R1). What was not its owner's
        only lease is from now on leased alone. Somebody calls it every second; it also wakes a worker for what waits.
        """

    def wait(self, timeout: float, *, interrupt: int | None = None) -> bool:
        """Block until there may be work, `timeout` seconds are over, or the descriptor `interrupt` is readable.

        True if there is work, or somebody rang and to pop is the way to look. A worker with nothing to report waits
        before it pops: waiting takes no lock.
        """

    def ready(self) -> bool:
        """Whether a pop would find something now. Takes no lock."""

    def depth(self) -> Depth:
        """How many messages there are. Does not scan."""

    def due_in(self) -> float | None:
        """Seconds until the next delayed message is due; None if there is none."""

    def close(self) -> None:
        """Let go of connections and descriptors."""


class Revealing(Broker, Protocol):
    """A broker that hides what is held, and can show it again to everybody by the receipt alone."""

    def reveal(self, receipts: Sequence[str]) -> None:
        """End the leases of somebody who is no more: these come again now, in their old order."""


class DeadLetters(Protocol):
    """Messages that were put aside because nobody acknowledged them, maybe those of several queues."""

    name: str

    def take(self, limit: int) -> list[Delivery]:
        """Up to `limit` of them, each at most once; nobody else gets them until they are put back."""

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Leave these where they were."""

    def delete(self, deliveries: Sequence[Delivery]) -> None:
        """Forget these."""


class Burying(Broker, Protocol):
    """A broker that puts aside what is never acknowledged."""

    def dead_letters(self) -> DeadLetters:
        """Where it puts them."""


@runtime_checkable
class Emptiable(Protocol):
    """A broker of which messages can be taken away for good, delayed ones too, in one transaction and without a lease.

    So nothing is held by whoever dies meanwhile, and nothing has to be given back for him.
    """

    def take(
        self, *, limit: int, largest: int, longest: float | None, settle: Callable[[Sequence[Message]], None]
    ) -> list[Message]:
        """Remove up to `limit` messages, and call `settle` with them before that is committed; what was removed.

        Left where they are: bodies of more than `largest` bytes, and what must wait for more than `longest` seconds
        (None: nothing). If `settle` raises, nothing was removed. It may be called again with others.
        """


def refuse_too_large(queue: str, messages: Sequence[Message], most: int) -> None:
    """Raise MessageTooLarge if one of these bodies has more than `most` bytes."""
    for message in messages:
        if len(message.body) > most:
            raise MessageTooLarge(
                f"queue {queue!r}: message {message.id} has {len(message.body):,} bytes and the broker takes {most:,}; "
                "store the data elsewhere and pass a reference"
            )
