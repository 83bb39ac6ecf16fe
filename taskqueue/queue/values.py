"""What passes between a queue and those who use it."""

from __future__ import annotations

import msgspec

from taskqueue.message import DEFAULT_PRIORITY, Delivery
from taskqueue.tasklog.entry import Claim, Outcome


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a queue allows. Times are seconds; 0 means no limit for `max_waiting`, `max_tasks` and `max_memory`."""

    #: of tasks that say nothing else
    priority: int = DEFAULT_PRIORITY
    lease: float = 120.0
    timeout: float = 600.0
    retries: int = 0
    max_crashes: int = 3
    max_waiting: int = 0
    #: how long a task whose name no worker knows is kept before it fails (P7)
    unknown_grace: float = 600.0
    #: a task's report is stored before the next task begins
    commit_each: bool = False
    weight: int = 1


class Held(msgspec.Struct, frozen=True, gc=False):
    """A delivery that may run: the broker's lease and the log's claim."""

    delivery: Delivery
    claim: Claim


class Finished(msgspec.Struct, frozen=True, gc=False):
    """A held delivery's run and what became of it."""

    delivery: Delivery
    outcome: Outcome


class Turn(msgspec.Struct, frozen=True):
    """What one turn brought: new work, the ids whose outcome was accepted, and whether the queue ran short.

    `due_in`: seconds until the next delayed message is due; None: there is none, UNSET: nobody looked.
    """

    held: list[Held]
    accepted: set[str]
    short: bool
    due_in: float | msgspec.UnsetType | None = msgspec.UNSET


class Parent(msgspec.Struct, frozen=True):
    """The running task that creates children, and the fence that proves it."""

    id: str
    fence: int
