"""Changes of many tasks at once: each a thread that goes on by itself, tells how far it is, and can be stopped.

They live in this process: they end with it, between two batches, and what was done stays done.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Literal

from taskqueue.clock import Clock
from taskqueue.errors import TaskQueueError
from taskqueue.ids import new_id
from taskqueue.operations.tasks import Action, Change, Outcome
from taskqueue.web.problems import Problem
from taskqueue.web.tokens import Caller

log = logging.getLogger(__name__)

#: how many may run at the same time, and how many that have ended are remembered
AT_ONCE, KEPT = 4, 100
State = Literal["running", "stopping", "done", "stopped", "failed"]
#: what is done, batch by batch
Doing = Callable[[], "list[Change] | None"]


class Work:
    """One of them. Times are microseconds since 1970."""

    def __init__(self, action: Action, doing: Doing, caller: Caller, *, total: int | None, clock: Clock) -> None:
        self.id = new_id()
        self.action = action
        self.caller = caller
        self.total = total
        self.outcomes = Counter[Outcome]()
        self.error = ""
        self.created_at = clock.micros()
        self.ended_at: int | None = None
        self._doing = doing
        self._clock = clock
        self._stop = threading.Event()

    @property
    def state(self) -> State:
        """How far it is."""
        if self.ended_at is None:
            return "stopping" if self._stop.is_set() else "running"
        return "failed" if self.error else "stopped" if self._stop.is_set() else "done"

    def stop(self) -> None:
        """End it after the present batch."""
        if self.ended_at is None:
            self._stop.set()

    def run(self) -> None:
        """Do it, in the thread that calls."""
        try:
            while not self._stop.is_set() and (batch := self._doing()) is not None:
                self.outcomes.update(change.outcome for change in batch)
        except TaskQueueError as error:
            self.error = str(error)
        except Exception as error:  # whoever looks at it must see that it has ended, and how
            self.error = f"unexpected {type(error).__name__}; this is a bug: the server's log shows where it happened"
            log.exception("%s of many tasks broke", self.action, extra={"operation": self.id})
        self.ended_at = self._clock.micros()


class Works:
    """All of one server."""

    def __init__(self) -> None:
        self._works: dict[str, Work] = {}

    def begin(self, work: Work) -> None:
        """Start it. Raises Problem 429 if too many run."""
        if sum(one.ended_at is None for one in self._works.values()) >= AT_ONCE:
            text = f"{AT_ONCE} operations run at the same time and no more: wait for one, or DELETE it"
            raise Problem(429, text, headers={"Retry-After": "5"})
        self._works[work.id] = work
        for old in [one.id for one in self._works.values() if one.ended_at is not None][:-KEPT]:
            del self._works[old]
        threading.Thread(target=work.run, name=f"operation {work.id}", daemon=True).start()

    def seen_by(self, caller: Caller) -> list[Work]:
        """What that caller may see, the newest first: a user their own."""
        return [one for one in reversed(self._works.values()) if caller.owner is None or one.caller == caller]

    def get(self, operation_id: str, caller: Caller) -> Work:
        """The one of that id. Raises Problem 404 where there is none that this caller may see."""
        found = next((one for one in self.seen_by(caller) if one.id == operation_id), None)
        if found is None:
            raise Problem(404, f"no operation {operation_id[:100]!r}; they are forgotten when the server is restarted")
        return found

    def close(self) -> None:
        """Stop all of them."""
        for work in self._works.values():
            work.stop()
