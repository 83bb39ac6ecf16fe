"""The guard: a thread that looks at the running task ten times a second, whatever the lifeline waits for.

A store may keep the lifeline for seconds. Meanwhile tasks end and begin, and each has its own time limit: the task
must be told, and the timer in C must not be left at the moment of a task that is over.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from taskqueue.clock import Clock
from taskqueue.worker.inbox import Inbox, Work
from taskqueue.worker.watch import Watch

#: seconds between two looks at a task
LOOK = 0.1


class Guard(threading.Thread):
    """Keeps the watch while something is held; asleep while nothing is."""

    def __init__(self, watch: Watch, inbox: Inbox, clock: Clock) -> None:
        super().__init__(name="guard", daemon=True)
        self._watch = watch
        self._inbox = inbox
        self._clock = clock
        self._wake = threading.Event()
        self._over = False

    def run(self) -> None:
        """The thread's life."""
        while not self._over:
            self._wake.clear()
            self.look()
            self._wake.wait(LOOK if self._inbox.held else None)
        self._watch.disarm()

    def look(self) -> None:
        """Tell the running task what its time is, and move the timer on."""
        self._watch.look(self._inbox.current)
        self.arm()

    def arm(self, more: Sequence[Work] = ()) -> None:
        """Arm the timer for what is held, and for `more` that is about to be: it may start before the next look."""
        now = self._clock.monotonic()
        current, held = self._inbox.current, [*self._inbox.held, *more]
        self._watch.arm(
            current,
            [work for work in held if work is not current],
            lease_end=min((work.lease_end for work in held if work.lease_end > now), default=None),
        )

    def wake(self) -> None:
        """Something is held now."""
        if not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """End the thread and disarm."""
        self._over = True
        self._wake.set()
        if self.is_alive():
            self.join()
