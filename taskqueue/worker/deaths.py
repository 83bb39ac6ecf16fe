"""Deaths of workers, as the keeper hears of them: found by an open lock, or told by the master that reaped them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from taskqueue.worker.scorecard import Card


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's end, as far as it concerns what it held.

    `running` is the task that died with it, and the cause: a line, and maybe the stacks in more lines below it. It is
    empty if no task is to blame (none ran, or the end was ordered: P4), None if nobody can tell.
    """

    incarnation: str
    slot: str = ""
    running: dict[str, str] | None = None
    #: what that task logged last, as lines
    log: str = ""

    @classmethod
    def alone(cls, incarnation: str, card: Card | None, now: float) -> Death:
        """Of a worker that no master reaped: what its scorecard says, looked at then (monotonic)."""
        if card is None or card.supervised:
            return cls(incarnation=incarnation, slot=card.slot if card else "")
        return cls(incarnation=incarnation, slot=card.slot, running=_running(card, now))

    def __str__(self) -> str:
        task = next(iter(self.running or {}), "")
        return f"worker {self.slot or self.incarnation} died{' while it ran task ' if task else ''}{task}"


class Deaths(Protocol):
    """Where a keeper hears of deaths."""

    def find(self) -> Iterable[Death]:
        """Those that are not buried yet; the same again until they are."""

    def bury(self, death: Death) -> None:
        """What that worker held was given back."""


def _running(card: Card, now: float) -> dict[str, str]:
    if card.leaving or not card.task_id:
        return {}
    if card.deadline and now >= card.deadline:
        return {card.task_id: f"the worker was ended: the task did not yield at its time limit (worker {card.slot})"}
    return {card.task_id: f"the worker died while it ran the task (worker {card.slot})"}
