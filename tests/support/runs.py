"""A run of a task, as the ledger has it, and what may be done to its process."""

from __future__ import annotations

import math

import msgspec


class Run(msgspec.Struct):
    """One run of a task, in nanoseconds of this machine's clock; without an end if its process did not live for it."""

    pid: int
    start: int
    end: int | None = None
    attempt: int = 0
    fence: int = 0
    #: it ended by asking to be run again
    again: bool = False


#: kinds of faults: what stands still may do so for less than its lease, or for more
KILLED, FROZEN, SUSPENDED = "killed", "frozen", "suspended"
#: nanoseconds that it may take a process to see that it stood still for longer than its lease
WAKING = 1_000_000_000


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to a process (None: to all of them, as when a store is away), in the same nanoseconds.

    `until` is when it was over: a process that was killed stays dead, one that stood still comes back.
    """

    pid: int | None
    at: int
    until: float = math.inf
    kind: str = KILLED

    def hit(self, run: Run) -> bool:
        """Whether it can have cost that run: it was done after the run's start, or went on into it."""
        return self.pid in (None, run.pid) and run.start < self.until

    @property
    def ends_runs(self) -> bool:
        """What ran there was over by then, or stood still."""
        return self.pid is not None

    def made_stale(self, run: Run, following: Run) -> bool:
        """Whether that run stood still while its lease ended, and went on no longer than it takes to see it.

        Nobody can keep such a run from its next step: its fence makes it harmless.
        """
        over = self.until + WAKING
        stood_still = self.kind == SUSPENDED and self.pid == run.pid and run.start < self.until
        return stood_still and self.at < following.start < over and run.end is not None and run.end < over
