"""The statuses of an entry and the one table of steps between them.

The numbers are stored: they are never reused or renumbered. Statuses below COMPLETED are open, the others ended.
A store may write several legal steps as one (a task that starts and ends between two turns goes from DEQUEUED to
COMPLETED in one write), which `can_become` knows.
"""

from __future__ import annotations

import enum
from functools import cache

from taskqueue.errors import InvalidTransition


class Status(enum.IntEnum):
    """Where a task stands."""

    #: waits in its queue (or for its delay to pass)
    ENQUEUED = 0
    #: leased by a worker, not started
    DEQUEUED = 1
    #: a worker runs it
    RUNNING = 2
    #: its own run is over, children are still open
    CHILD_RUNNING = 3
    #: ended well
    COMPLETED = 4
    #: ended badly; the report says why
    FAILED = 5
    #: was cancelled before or while it ran
    CANCELLED = 6
    #: ended and put away by a person
    ARCHIVED = 7

    @property
    def label(self) -> str:
        """The name as people, JSON and the command line spell it."""
        return self.name.lower()

    @property
    def ended(self) -> bool:
        """Nothing will happen to it any more by itself."""
        return self >= Status.COMPLETED

    @property
    def category(self) -> str:
        """The coarse word for people: created, in_progress, completed, failed, cancelled, archived."""
        return _CATEGORY[self]

    @classmethod
    def parse(cls, label: str) -> Status:
        """The status of that label; ValueError names the known ones."""
        try:
            return cls[label.upper()]
        except KeyError:
            raise ValueError(f"unknown status {label!r}; known: {', '.join(s.label for s in cls)}") from None


S = Status
NEXT: dict[Status, frozenset[Status]] = {
    S.ENQUEUED: frozenset({S.DEQUEUED, S.FAILED, S.CANCELLED}),
    S.DEQUEUED: frozenset({S.RUNNING, S.ENQUEUED, S.FAILED, S.CANCELLED}),
    S.RUNNING: frozenset({S.COMPLETED, S.FAILED, S.CHILD_RUNNING, S.ENQUEUED, S.CANCELLED}),
    S.CHILD_RUNNING: frozenset({S.COMPLETED, S.FAILED}),
    S.COMPLETED: frozenset({S.ARCHIVED}),
    S.FAILED: frozenset({S.ARCHIVED}),
    S.CANCELLED: frozenset({S.ARCHIVED}),
    S.ARCHIVED: frozenset(),
}
_CATEGORY = {
    S.ENQUEUED: "created",
    S.DEQUEUED: "in_progress",
    S.RUNNING: "in_progress",
    S.CHILD_RUNNING: "in_progress",
    S.COMPLETED: "completed",
    S.FAILED: "failed",
    S.CANCELLED: "cancelled",
    S.ARCHIVED: "archived",
}
OPEN = tuple(s for s in Status if not s.ended)
ENDED = tuple(s for s in Status if s.ended)
HELD = (S.DEQUEUED, S.RUNNING)
#: its run, if there was one, has not been finished
UNFINISHED = (S.ENQUEUED, *HELD)


@cache
def sources(target: Status) -> tuple[Status, ...]:
    """The statuses from which one write may lead to `target`: what a compare-and-set compares with."""
    direct = {s for s, following in NEXT.items() if target in following}
    through_running = {S.DEQUEUED} if S.RUNNING in direct else set()
    return tuple(sorted(direct | through_running))


def can_become(present: Status, following: Status) -> bool:
    """Whether one write may lead from `present` to `following`."""
    return present in sources(following)


def check(entry_id: str, present: Status, following: Status) -> None:
    """Raise InvalidTransition unless the step is in the table."""
    if not can_become(present, following):
        raise InvalidTransition(f"entry {entry_id} is {present.label} and cannot become {following.label}")
