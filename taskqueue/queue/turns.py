"""A worker's turn by two statements, where broker and task log stand on a database that can do it (PostgreSQL).

One stores what ended, the other brings new work, each a transaction by itself: in two journeys to the server instead of
twelve. What has more to it is left to the common way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import msgspec

from taskqueue.brokers.handing import Claiming, Ending, Handed
from taskqueue.database.engine import Database
from taskqueue.message import Delivery
from taskqueue.queue.values import Finished, Held
from taskqueue.tasklog.ending import is_plain
from taskqueue.tasklog.entry import Claim, Outcome


@runtime_checkable
class Handing(Protocol):
    """A broker that can hand messages over with their tasks claimed."""

    hands_over: bool

    def hand_over(self, log: Claiming, *, limit: int, lease: float, worker: str) -> Handed | None:
        """Lease up to `limit` messages and claim their tasks; None where that has to be done step by step."""

    def hand_back(self, log: Ending, values: Mapping[str, Any]) -> set[str]:
        """Acknowledge these messages and end their tasks; the ids of those that were ended."""


@runtime_checkable
class Log(Claiming, Ending, Protocol):
    """A task log that can take part in both."""

    def ends(self, outcomes: Sequence[Outcome], receipts: Sequence[int]) -> dict[str, Any]:
        """The parameters of its part of `Handing.hand_back`."""

    def claim_of(self, row: Sequence[Any]) -> Claim:
        """What it has claimed."""


class Received(msgspec.Struct, frozen=True):
    """What may run, and what could not be claimed as it came. `due_in` as `Turn` has it."""

    held: list[Held]
    left: list[Delivery]
    due_in: float | None


class ShortWay:
    """The turns of one queue."""

    def __init__(self, broker: Handing, task_log: Log) -> None:
        self._broker, self._task_log = broker, task_log

    @classmethod
    def of(cls, database: Database | None, task_log: object, broker: object) -> Self | None:
        """None where it cannot be done."""
        if database is None or not (isinstance(task_log, Log) and isinstance(broker, Handing)):
            return None
        return cls(broker, task_log) if broker.hands_over else None

    def claim(self, *, limit: int, lease: float, worker: str) -> Received | None:
        """Up to `limit` tasks for `worker`; None where they have to be claimed step by step."""
        handed = self._broker.hand_over(self._task_log, limit=limit, lease=lease, worker=worker)
        if handed is None:
            return None
        both = list(zip(handed.deliveries, handed.claimed, strict=True))
        held = [Held(delivery, self._task_log.claim_of(row)) for delivery, row in both if row is not None]
        return Received(held, [delivery for delivery, row in both if row is None], handed.due_in)

    def end(self, finished: Sequence[Finished]) -> tuple[set[str], list[Finished]]:
        """Store those that ended well and concern nobody else: the ids that were accepted, and all that are left."""
        plain = [f for f in finished if is_plain(f.outcome)]
        if not plain:
            return set(), list(finished)
        values = self._task_log.ends([f.outcome for f in plain], [int(f.delivery.receipt) for f in plain])
        accepted = self._broker.hand_back(self._task_log, values)
        return accepted, [f for f in finished if f.outcome.id not in accepted]
