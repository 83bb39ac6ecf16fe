"""Children of a master whose processes are not there: what it knows of them, without forking."""

from __future__ import annotations

import itertools
import os
from typing import Any

from supervisor.child import Child
from supervisor.scoreboard import Scoreboard
from taskqueue.worker.scorecard import State

#: no process has such a number, so that what is sent there harms nobody
_pids = itertools.count(1 << 30)


class Nursery:
    """Makes children on one scoreboard, and lets go of them all."""

    def __init__(self) -> None:
        self.board = Scoreboard(rows=64)
        self._children: list[Child] = []

    def child(
        self,
        slot: Any = None,
        *,
        pid: int = 0,
        pool: str = "mail",
        index: int = 0,
        started: float = 0.0,
        state: State = State.IDLE,
        **card: Any,
    ) -> Child:
        """A child of that slot, or of none; `card` is what its scorecard says."""
        name = slot.name if slot else f"host/{pool}/{index}"
        row = self.board.take(name)
        assert row is not None
        row.scorecard.update(state=state, **card)
        child = Child(
            pid or next(_pids),
            row,
            pool=slot.pool if slot else pool,
            name=name,
            generation=slot.generation if slot else 0,
            life=os.open(os.devnull, os.O_WRONLY),
            stacks=os.memfd_create("stacks"),
            started=started,
        )
        self._children.append(child)
        return child

    def close(self) -> None:
        """Let go of their descriptors."""
        for child in self._children:
            child.close()
