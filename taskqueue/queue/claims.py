"""New work by one statement, where broker and task log stand on a database that can do it (PostgreSQL)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self, runtime_checkable

import msgspec

from taskqueue.brokers.handing import Claiming, Handed
from taskqueue.database.engine import Database
from taskqueue.message import Delivery
from taskqueue.queue.values import Held
from taskqueue.tasklog.entry import Claim


@runtime_checkable
class Handing(Protocol):
    """A broker that can hand messages over with their tasks claimed."""

    hands_over: bool

    def hand_over(self, log: Claiming, *, limit: int, lease: float, worker: str) -> Handed | None:
        """Lease up to `limit` messages and claim their tasks; None where that has to be done step by step."""


@runtime_checkable
class Log(Claiming, Protocol):
    """A task log that can claim so."""

    def claim_of(self, row: Sequence[Any]) -> Claim:
        """What it has claimed."""


class Received(msgspec.Struct, frozen=True):
    """What may run, and what could not be claimed as it came. `due_in` as `Turn` has it."""

    held: list[Held]
    left: list[Delivery]
    due_in: float | None


class ClaimsAtOnce:
    """Claims of one queue."""

    def __init__(self, broker: Handing, task_log: Log) -> None:
        self._broker, self._task_log = broker, task_log

    @classmethod
    def of(cls, database: Database | None, task_log: object, broker: object) -> Self | None:
        """None where it cannot be done."""
        if database is None or not (isinstance(task_log, Log) and isinstance(broker, Handing)):
            return None
        return cls(broker, task_log) if broker.hands_over else None

    def ask(self, *, limit: int, lease: float, worker: str) -> Received | None:
        """Up to `limit` tasks for `worker`; None where they have to be claimed step by step."""
        handed = self._broker.hand_over(self._task_log, limit=limit, lease=lease, worker=worker)
        if handed is None:
            return None
        both = list(zip(handed.deliveries, handed.claimed, strict=True))
        held = [Held(delivery, self._task_log.claim_of(row)) for delivery, row in both if row is not None]
        return Received(held, [delivery for delivery, row in both if row is None], handed.due_in)
