"""The master's handle of one child process: its number, its row, the pipe that is its life, and how far it was told."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from supervisor.ladder import Rung, Standing
from supervisor.plan import ProcessFacts
from supervisor.scoreboard import Row
from supervisor.stacks import readable
from taskqueue.worker.scorecard import Card, State

#: of a dead process' stacks, so many bytes are read, and so many characters are kept
READ, STACKS = 65536, 6000
#: which time was up
ABOUT_A_TASK = "the task did not yield at its time limit, so its worker ended itself"
ABOUT_A_LEASE = "the task did not yield at the end of its lease, so its worker ended itself"


class Child:
    """One process. `life` is the write end of its life pipe, `stacks` the file that takes its stacks."""

    def __init__(
        self, pid: int, row: Row, *, pool: str, name: str, generation: int, life: int, stacks: int, started: float
    ) -> None:
        self.pid = pid
        self.row = row
        self.pool = pool
        self.name = name
        self.generation = generation
        self.started = started
        self.boot_by = float("inf")
        self.standing = Standing()
        #: what is wrong with it, if it is ended for that
        self.why = ""
        self._life = life
        self._stacks = stacks
        self._card: Card | None = None

    @property
    def fds(self) -> tuple[int, int]:
        """What its siblings close."""
        return self._life, self._stacks

    @property
    def card(self) -> Card | None:
        """Its scorecard, as it could be read last."""
        self._card = self.row.scorecard.read() or self._card
        return self._card

    @property
    def torn(self) -> bool:
        """It was ended while it wrote its scorecard: what it did last nobody can tell."""
        return self.row.scorecard.read() is None

    @property
    def up(self) -> bool:
        """It has started and waits for tasks, or runs them."""
        return self.card is not None and self.card.state is not State.BOOT

    def facts(self) -> ProcessFacts:
        """What the plan needs to know."""
        card = self.card
        return ProcessFacts(
            pid=self.pid,
            pool=self.pool,
            generation=self.generation,
            up=self.up,
            boot_by=self.boot_by,
            deadline=card.deadline if card else 0.0,
            lease_end=card.lease_end if card else 0.0,
            standing=self.standing,
        )

    def tell(self, rung: Rung, now: float, *, until: float = float("inf"), why: str = "") -> None:
        """Tell it to go; it may stay on `TERM` until then."""
        self.why = self.why or why
        self.standing = Standing(rung, now, until)
        # It is not reaped, so the number is its own. What it has forked dies with it, at the latest when it is reaped.
        with suppress(ProcessLookupError, PermissionError):
            if rung is Rung.KILL:
                os.killpg(self.pid, signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):  # a task may have made itself somebody else
            os.kill(self.pid, rung.signal)

    def hurry(self, until: float) -> None:
        """It may not stay on `TERM` for longer than that."""
        if until < self.standing.until:
            self.standing = Standing(self.standing.rung, self.standing.since, until)

    def pause(self, paused: bool) -> None:  # noqa: FBT001  # the one thing it says
        """Let it know whether it is wanted to pause."""
        if self.row.paused is not paused:
            self.row.paused = paused
            self.wake()

    def pause_by_signal(self, *, paused: bool) -> None:
        """Send it USR2 or CONT, as to its slot."""
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGUSR2 if paused else signal.SIGCONT)

    def wake(self) -> None:
        """There is something to read for it. A full pipe has woken it already."""
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._life, b"\0")

    def stacks(self) -> str:
        """Where it was when it had to be ended; empty if it had not."""
        return readable(os.pread(self._stacks, READ, 0).decode(errors="replace"))[:STACKS]

    def overdue(self, now: float) -> str:
        """Which time was up, if it ended itself for that: a worker that hangs does, by a timer in C that says so.

        The same timer ends who has to go now and cannot. That was ordered, and is nobody's fault (P4).
        """
        card = self.card
        ordered = self.standing.rung >= Rung.NOW or (card is not None and card.leaving)
        if ordered or os.pread(self._stacks, 7, 0) != b"Timeout":
            return ""
        if card is not None and card.deadline and now >= card.deadline:
            return ABOUT_A_TASK
        return ABOUT_A_LEASE

    def close(self) -> None:
        """It is reaped."""
        for fd in self.fds:
            os.close(fd)
