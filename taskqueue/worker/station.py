"""What the lifeline knows about one of its queues: its pace, whether it ran dry, and when to look again."""

from __future__ import annotations

from random import Random

from taskqueue.queue import Queue
from taskqueue.worker.pace import Pace

#: an idle worker scans once more so soon after a wake or an empty scan (R10)
SECOND_LOOK = 0.025
#: the slow poll that stands behind every wake-up: a little rarer each time, as the keeper looks each second
POLL, RARER, RAREST = 1.0, 1.5, 5.0


class Station:
    """One queue, as its worker sees it."""

    def __init__(self, queue: Queue, *, random: Random | None = None) -> None:
        self.queue = queue
        self.pace = Pace()
        self.paused = False
        self._random = random or Random()
        self._dry = False
        self._looks = 0
        self._look_at = 0.0
        #: the last scan found nothing at all; and when it began (monotonic)
        self.empty = False
        self.scanned_at = 0.0

    def ring(self) -> None:
        """There may be work."""
        self._dry = self.empty = False
        self._looks = 0

    def scanned(self, began: float, now: float, *, found: int, short: bool, due_in: float | None) -> None:
        """A scan that began then came back; `short`: with fewer than were asked for."""
        self.scanned_at = began
        self._dry = short
        self.empty = short and not found
        self._looks = 0 if found else self._looks + 1
        wait = SECOND_LOOK if self._looks <= 1 else self._poll()
        if due_in is not None:
            wait = min(wait, max(0.0, due_in))
        self._look_at = now + wait

    def _poll(self) -> float:
        longer = min(RAREST, POLL * RARER ** min(self._looks - 2, 10))
        return longer * self._random.uniform(0.75, 1.25)

    def look_in(self, now: float) -> float:
        """Seconds until this queue is worth a scan; 0: now."""
        return max(0.0, self._look_at - now) if self._dry else 0.0

    @property
    def quiet(self) -> bool:
        """It ran dry: the bell may be waited for. Where waiting is leasing (SQS), once the last looks found nothing."""
        return self._dry and (self._looks > 1 or self.queue.broker.capabilities.recovers)
