"""Where a worker's scans of a queue begin: behind what is gone (R9).

PostgreSQL reads over deleted rows as long as any transaction might see them, so that a scan from the start becomes
slower with each task that was done since the oldest of those began. Behind the mark may lie what still waits: rows
whose ids were given out early and committed late, and those that another worker had locked and then let go. Hence now
and then, and whenever a scan from the mark brings too little, one goes through from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from taskqueue.clock import Clock
from taskqueue.database.transaction import Transaction

#: seconds between two scans from the start, and their largest share of a worker's time
SWEEP, SHARE = 1.0, 0.01


class Mark:
    """One worker's in one queue; not `kept` where gone rows are gone at once."""

    def __init__(self, clock: Clock, *, kept: bool) -> None:
        self._clock, self._kept = clock, kept
        self._place: tuple[int, int] | None = None
        self._sweep_at = 0.0

    @property
    def place(self) -> tuple[int, int] | None:
        """The lane, and the id in it, behind which to begin; None: from the start."""
        return self._place if self._clock.monotonic() < self._sweep_at else None

    @contextmanager
    def sweep(self) -> Iterator[None]:
        """A scan from the start."""
        began = self._clock.monotonic()
        yield
        now = self._clock.monotonic()
        self._sweep_at = now + max(SWEEP, (now - began) / SHARE)

    def move(self, tx: Transaction, last: Sequence[int] | None) -> None:
        """The last row that was taken, if there may be more behind it; it counts once the transaction is committed."""
        tx.after_commit(lambda: self.moved(last))

    def moved(self, last: Sequence[int] | None) -> None:
        """The same of what has been committed."""
        # What came back is few, and comes in no order.
        self._place = (last[0], last[1]) if last is not None and last[0] % 2 and self._kept else None
