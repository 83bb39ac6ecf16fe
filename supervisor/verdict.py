"""What a process' end means: for its slot, and for the task that it ran. A pure function of what is known (R5, R16)."""

from __future__ import annotations

import enum
import os
import signal

import msgspec

from supervisor.ladder import Rung
from taskqueue.errors import EXIT_CONFIGURATION, EXIT_RECYCLE
from taskqueue.worker.scorecard import Card, State


class Exit(msgspec.Struct, frozen=True):
    """How the kernel says that a process ended: with an exit code, or by a signal."""

    code: int | None = None
    signal: int | None = None

    @classmethod
    def of(cls, found: os.waitid_result) -> Exit:
        """From `os.waitid`."""
        if found.si_code == os.CLD_EXITED:
            return cls(code=found.si_status)
        return cls(signal=found.si_status)

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit code {self.code}"
        try:
            return f"killed by {signal.Signals(self.signal).name}"
        except ValueError:
            return f"killed by signal {self.signal}"


class Kind(enum.Enum):
    """What follows for the slot."""

    #: in good order, or as it was told: it may be started again at once
    LEFT = "left"
    #: it asked to be replaced
    RECYCLED = "recycled"
    #: it can never start with this configuration: not tried again
    CANNOT = "cannot"
    #: it died: started again with back-off
    FAILED = "failed"


class Verdict(msgspec.Struct, frozen=True):
    """The judgement. `cause` is one line; `blamed`: the running task counts a crash."""

    kind: Kind
    cause: str
    blamed: bool = False


def judge(end: Exit, card: Card | None, *, told: Rung, why: str = "") -> Verdict:
    """Judge an end. `told`: how far we had told it to go, and `why` if it was because something was wrong with it."""
    if why:
        return Verdict(Kind.FAILED, why, blamed=True)
    if told >= Rung.NOW:
        return Verdict(Kind.LEFT, str(end))
    if told is Rung.TERM and end.signal == signal.SIGTERM:
        return Verdict(Kind.LEFT, "ended before it had begun")
    leaving = card is not None and card.leaving
    if leaving and end.code in (0, EXIT_RECYCLE):
        return Verdict(Kind.LEFT, str(end)) if end.code == 0 else Verdict(Kind.RECYCLED, "replaced, as it asked")
    # A task may call os._exit(78): only a process that has not begun with tasks says it of itself.
    if end.code == EXIT_CONFIGURATION and (leaving or card is None or card.state is State.BOOT):
        return Verdict(Kind.CANNOT, "its configuration cannot work (exit code 78); the log says why")
    return Verdict(Kind.FAILED, str(end), blamed=not leaving)
