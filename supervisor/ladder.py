"""The ladder by which a process is told to go: TERM; TERM again, which means now; ABRT, which shows its stacks; KILL.

    TERM ── patience ── NOW ── 1.5 s ── ABRT ── 1 s ── KILL

Patience is `[supervisor] grace` on a stop, and without end where nothing hurries (reload, restart, scaling: R19). What
hangs begins at ABRT.
"""

from __future__ import annotations

import enum
import signal

import msgspec

#: how long a process may stay on a rung, in seconds. A worker that must go now gives its task one second
AFTER_NOW, AFTER_ABRT = 1.5, 1.0
#: workers take two TERMs that come closer together than this for one
BETWEEN_TERMS = 0.3


class Rung(enum.IntEnum):
    """How far a process was told to go."""

    NONE = 0
    TERM = 1
    NOW = 2
    ABRT = 3
    KILL = 4

    @property
    def signal(self) -> signal.Signals:
        """What is sent to say so."""
        return _SIGNALS[self]


_SIGNALS = {
    Rung.TERM: signal.SIGTERM,
    Rung.NOW: signal.SIGTERM,
    Rung.ABRT: signal.SIGABRT,
    Rung.KILL: signal.SIGKILL,
}


class Standing(msgspec.Struct, frozen=True):
    """Where on the ladder a process stands: since when (monotonic), and until when it may stay on `TERM`."""

    rung: Rung = Rung.NONE
    since: float = 0.0
    until: float = float("inf")

    @property
    def leave_at(self) -> float:
        """When the next rung is due."""
        match self.rung:
            case Rung.TERM:
                return max(self.until, self.since + BETWEEN_TERMS)
            case Rung.NOW:
                return self.since + AFTER_NOW
            case Rung.ABRT:
                return self.since + AFTER_ABRT
            case _:
                return float("inf")

    def next(self, now: float) -> Rung | None:
        """The rung that is due, if one is."""
        return Rung(self.rung + 1) if now >= self.leave_at else None
