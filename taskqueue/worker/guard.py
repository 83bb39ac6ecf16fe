"""The guard: a thread that looks at the running task ten times a second, whatever the lifeline waits for.

A store may keep the lifeline for seconds. Meanwhile tasks end and begin, and each has its own time limit: the task
must be told, and the timer in C must not be left at the moment of a task that is over.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from taskqueue.worker.crew import Crew
from taskqueue.worker.inbox import Inbox, Work
from taskqueue.worker.memory import private_memory

#: seconds between two looks at a task, and at our memory
LOOK, WEIGH = 0.1, 5.0


class Guard(threading.Thread):
    """Keeps the watch while something is held; asleep while nothing is."""

    def __init__(self, crew: Crew, inbox: Inbox) -> None:
        super().__init__(name="guard", daemon=True)
        self._crew = crew
        self._watch = crew.watch
        self._inbox = inbox
        self._clock = crew.clock
        self._wake = threading.Event()
        self._over = False
        self._lease_end = 0.0
        self._title = ""
        self._weigh_at = 0.0

    def run(self) -> None:
        """The thread's life."""
        while not self._over:
            self._wake.clear()
            self._wake.wait(LOOK if self.look() else None)
        self._watch.disarm()

    def look(self) -> bool:
        """Tell the running task what its time is, and move the timer on; whether anything is held."""
        current = self._inbox.current
        self._watch.look(current)
        self.arm()
        self._show(current)
        return bool(self._lease_end)

    def arm(self, more: Sequence[Work] = ()) -> None:
        """Arm the timer for what is held, and for `more` that is about to be: it may start before the next look."""
        now = self._clock.monotonic()
        current, held = self._inbox.current, [*self._inbox.held, *more]
        lease_end = min((work.lease_end for work in held if work.lease_end > now), default=None)
        self._watch.arm(current, [work for work in held if work is not current], lease_end=lease_end)
        self._lease_end = lease_end or (now if held else 0.0)

    def _show(self, current: Work | None) -> None:
        """Let the master see until when this process may hold what it holds, and people what it does."""
        if (place := self._crew.place) is None:
            return
        changes: dict[str, object] = {"lease_end": self._lease_end}
        if (now := self._clock.monotonic()) >= self._weigh_at:
            self._weigh_at = now + WEIGH
            changes["memory"] = private_memory() // 1024
        self._crew.note(**changes)
        title = f"running {current.name} {current.id}" if current else "idle"
        if title != self._title:
            self._title = title
            place.title(title)

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
