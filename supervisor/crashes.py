"""What the master counts: the deaths of processes that nobody ordered, by what ended them."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from supervisor.child import ABOUT_A_LEASE, ABOUT_A_TASK, Child
from supervisor.plan import HELD_ON, NO_SIGN, NO_START
from supervisor.verdict import Exit, Kind, Verdict
from taskqueue.worker.block import CAPACITY, Block

#: what somebody said of it -> the label
_SAID = {
    ABOUT_A_TASK: "time_limit",
    ABOUT_A_LEASE: "lease",
    HELD_ON: "lease",
    NO_SIGN: "hung",
    NO_START: "boot_timeout",
}
OTHER = "other"


class Crash(msgspec.Struct, frozen=True, array_like=True):
    """One kind. `task` is the name of the one that its worker ran and that is to blame, as far as a row has room."""

    pool: str
    task: str
    cause: str


class Crashes:
    """Counts them, and shows the counts in the master's block."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._counts: dict[Crash, int] = {}

    def count(self, child: Child, verdict: Verdict, end: Exit, *, out_of_memory: bool = False) -> None:
        """One more process has ended; if that was a crash, it counts."""
        if verdict.kind is not Kind.FAILED:
            return
        card = child.card
        task = card.task_name if verdict.blamed and card is not None and not child.torn else ""
        cause = "out_of_memory" if out_of_memory else _SAID.get(verdict.cause) or _cause(end)
        crash = Crash(child.pool, task, cause)
        self._counts[crash] = self._counts.get(crash, 0) + 1
        while len(body := _encoder.encode(list(self._counts.items()))) > CAPACITY:
            self._fold()
        self._block.write(body)

    def _fold(self) -> None:
        """The rarest kinds go together: by pool while there are tasks to tell from each other, then all."""
        rarest = min(self._counts, key=lambda crash: (crash.task in ("", OTHER), self._counts[crash]))
        known = rarest.task in ("", OTHER)
        into = Crash(OTHER if known else rarest.pool, OTHER, OTHER if known else rarest.cause)
        self._counts[into] = self._counts.get(into, 0) + self._counts.pop(rarest)


def crashes(block: Block) -> dict[Crash, int]:
    """What the master of that block has counted."""
    with suppress(msgspec.DecodeError):
        return dict(_decoder.decode(body)) if (body := block.read()) else {}
    return {}


def _cause(end: Exit) -> str:
    if end.signal is None:
        return f"exit_{end.code}"
    return str(end).removeprefix("killed by ").replace(" ", "_")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[Crash, int]])
