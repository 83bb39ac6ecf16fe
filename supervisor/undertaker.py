"""From a dead process to what the keeper must know of it (R16): whose leases are free, and which task is to blame."""

from __future__ import annotations

import logging
from collections import deque

from supervisor.child import Child
from supervisor.scoreboard import DeathRecords
from supervisor.verdict import Kind, Verdict
from taskqueue.worker.deaths import Death
from taskqueue.worker.lastlines import logged

log = logging.getLogger(__name__)


class Undertaker:
    """Records deaths for the keeper; keeps those for which no record is free."""

    def __init__(self, records: DeathRecords) -> None:
        self._records = records
        self._waiting: deque[Death] = deque()

    @property
    def done(self) -> bool:
        """The keeper has given back what every dead worker held."""
        return not self._waiting and self._records.empty

    def bury(self, child: Child, verdict: Verdict) -> bool:
        """Log its end, and record it if it may hold something still; whether there is something for the keeper."""
        _tell(child, verdict)
        card = child.card
        if card is not None and not card.incarnation:
            return False  # it had not begun, or has given everything back
        self._waiting.append(_death(child, verdict))
        self.record()
        return True

    def record(self) -> None:
        """Record what waits, as far as there is room."""
        while self._waiting and self._records.record(self._waiting[0]):
            self._waiting.popleft()


def _death(child: Child, verdict: Verdict) -> Death:
    card = child.card
    if card is None or child.torn:
        return Death(incarnation=card.incarnation if card else "", slot=child.name)
    running = {}
    if verdict.blamed and card.task_id:
        cause = f"{verdict.cause} (worker {child.name}, pid {child.pid})"
        running = {card.task_id: "\n".join([cause, *child.stacks().splitlines()])}
    log = logged(child.row.lines.read(), card.task_id) if running else ""
    return Death(incarnation=card.incarnation, slot=child.name, running=running, log=log)


def _tell(child: Child, verdict: Verdict) -> None:
    card, stacks = child.card, child.stacks()
    facts = {"slot": child.name, "child": child.pid}
    shown = facts | {"stacks": stacks or None}
    if verdict.kind is Kind.FAILED:
        task = {"task_id": card.task_id, "task_name": card.task_name} if card and card.task_id else {}
        log.error("worker died: %s", verdict.cause, extra=shown | task)
    elif verdict.kind is Kind.CANNOT:
        log.critical("worker cannot start: %s", verdict.cause, extra=facts)
    elif stacks:
        log.warning("worker was ended: %s", verdict.cause, extra=shown)
    else:
        log.info("worker left: %s", verdict.cause, extra=facts)
