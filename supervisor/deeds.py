"""Doing what the plan says: fork, promote, dismiss, push on."""

from __future__ import annotations

import logging
from functools import partial
from random import Random

from supervisor.child import Child
from supervisor.fleet import Fleet
from supervisor.ladder import Rung
from supervisor.plan import Action, Dismiss, Promote, Push, Start
from supervisor.scoreboard import Scoreboard
from supervisor.slot import Slot
from supervisor.spawn import CannotFork, Duty, Spawner
from supervisor.wants import Wants
from supervisor.work import keep, serve, worker

log = logging.getLogger(__name__)


class Deeds:
    """Acts on one fleet."""

    def __init__(
        self, fleet: Fleet, wants: Wants, spawner: Spawner, board: Scoreboard, random: Random, *, socket: str
    ) -> None:
        self._fleet = fleet
        self._wants = wants
        self._spawner = spawner
        self._board = board
        self._random = random
        #: where the master listens
        self._socket = socket
        #: why the last fork failed; empty if it did not
        self.cannot_fork = ""

    def do(self, action: Action, now: float) -> None:
        """Do it."""
        match action:
            case Start(slot, successor):
                self._start(slot, now, successor=successor)
            case Promote(slot):
                if (before := slot.promote()) is not None:
                    self._dismiss(before, now)
            case Dismiss(slot, pid):
                child = next(child for child in slot.children if child.pid == pid)
                slot.lose(child)
                self._dismiss(child, now)
            case Push(pid, rung, why):
                child = next(child for child in self._fleet.children if child.pid == pid)
                self._push(child, rung, why, now)

    def _start(self, slot: Slot, now: float, *, successor: bool) -> None:
        try:
            child = self._spawner.spawn(
                self._duty(slot),
                pool=slot.pool,
                name=slot.name,
                generation=slot.generation,
                paused=self._fleet.is_paused(slot),
                paused_by_signal=slot.paused_by_signal,
            )
        except CannotFork as error:
            self._could_not_fork(slot, error, now)
            return
        self.cannot_fork = ""
        child.boot_by = child.started + self._wants.settings.supervisor.boot_timeout
        slot.seat(child, successor=successor)
        log.debug("process started", extra={"slot": slot.name, "child": child.pid})

    def _duty(self, slot: Slot) -> Duty:
        wish = self._fleet.pools[slot.pool].wish
        if wish.kind == "keeper":
            return partial(keep, self._wants.settings, self._board, self._socket)
        if wish.kind == "web":
            return partial(serve, self._wants.settings, self._board)
        return partial(worker, self._wants.settings, wish)

    def _could_not_fork(self, slot: Slot, error: CannotFork, now: float) -> None:
        if not self.cannot_fork:
            log.error("%s", error)
        self.cannot_fork = str(error)
        # Not at once: whatever lacks now, the first retry is not for free.
        slot.failures = max(slot.failures, 1)
        slot.failed(now, self._random)

    def _dismiss(self, child: Child, now: float) -> None:
        """It has left its slot: it may end its task."""
        self._fleet.leavers.append(child)
        if not child.standing.rung:
            patience = self._wants.patience_with(attendant=child.pool in self._fleet.attendants)
            child.tell(Rung.TERM, now, until=now + patience)

    def _push(self, child: Child, rung: Rung, why: str, now: float) -> None:
        facts = {"slot": child.name, "child": child.pid}
        if why:
            log.error("a process is ended: %s", why, extra=facts)
        elif rung > Rung.NOW:
            log.warning("a process does not leave: %s", rung.signal.name, extra=facts)
        child.tell(rung, now, why=why)
