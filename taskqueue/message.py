"""What brokers carry: messages in, deliveries out. Bytes and receipts; a broker knows neither tasks nor reports."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

# `gc=False` here and wherever thousands of values live for a moment: they hold nothing that could hold them, so that
# the collector of cycles, which would look at each of them time and again, need not know them.

HIGHEST, DEFAULT_PRIORITY, LOWEST = 0, 5, 9


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message to be stored.

    `id` is the task's id; `delay` is in seconds from the push, by the store's clock.
    """

    id: str
    body: bytes
    priority: int = DEFAULT_PRIORITY
    delay: float = 0.0
    #: to be leased singly (see `Delivery.alone`)
    alone: bool = False
    #: messages of one group are delivered in order, the next when the one before is acknowledged
    group: str | None = None


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A message handed to one worker under a lease.

    `receipt` names this one hand-over (a later hand-over of the same message has another). `alone` is set where an
    earlier worker died holding it and nobody can tell whether this message was the reason: it was leased singly.
    """

    id: str
    body: bytes
    receipt: str
    priority: int = DEFAULT_PRIORITY
    alone: bool = False


class Lost(msgspec.Struct, frozen=True, gc=False):
    """A lease that ended without its worker's word. The message is back in its queue."""

    id: str
    owner: str
    #: nothing else was held by that owner, so that its death is this message's
    only_one: bool = False
    #: to be leased singly from now on, which its broker cannot keep
    alone: bool = False
    #: its owner is known to have died while it ran this one: of what, in one line, and behind it maybe the stacks
    cause: str | None = None
    #: and what this one logged last, as lines
    log: str | None = None

    def judged(self, causes: Mapping[str, str], log: str | None) -> Lost:
        """How its owner ended is known: it was the task that `causes` names, which logged `log`, and no other one."""
        cause = causes.get(self.id)
        return msgspec.structs.replace(self, only_one=False, cause=cause, log=log if cause is not None else None)
