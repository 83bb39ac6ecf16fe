"""What is promised about one queue, as a small model: entries, the copies of their messages, and who holds which.

It knows no store. A test tells it each step that it tells the real thing, and compares what both answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from taskqueue.status import HELD, Status, can_become
from taskqueue.tasklog.entry import Cause

MAX_CRASHES = 1


@dataclass
class Task:
    id: str
    parent: str | None = None
    status: Status = Status.ENQUEUED
    fence: int = 0
    attempts: int = 0
    crashes: int = 0
    worker: str | None = None
    cancel: bool = False
    family: bool = False
    #: its report, once it has ended, is that of an error
    bad: bool = False
    due: int = 0
    #: what ended badly, by fence
    ends: dict[int, Cause] = field(default_factory=dict)

    def become(self, status: Status) -> None:
        assert can_become(self.status, status), (self, status)
        self.status = status
        if status is Status.ENQUEUED:
            self.worker = None

    def back(self) -> None:
        """Enqueued again, or cancelled if that was asked for (P12)."""
        self.worker = None
        self.become(Status.CANCELLED if self.cancel else Status.ENQUEUED)
        self.bad = self.cancel

    @property
    def run(self) -> int:
        """The number of the run that holds it; its start may not have been told."""
        return self.attempts + (self.status is Status.DEQUEUED)


@dataclass(eq=False)
class Copy:
    """One message of a task, and under `owner` its lease."""

    task: str
    lane: int
    place: int
    due: int | None = None
    alone: bool = False
    owner: str | None = None
    until: int = 0

    @property
    def order(self) -> tuple[int, int]:
        return self.lane, self.place


class Model:
    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.copies: list[Copy] = []
        self._places = 0

    # Messages

    def put(self, task: str, *, priority: int, due: int | None = None) -> None:
        self.copies.append(Copy(task, 2 * priority + 1, self._place(), due))

    def pop(self, limit: int, now: int, owner: str, until: int) -> list[Copy]:
        """The first in order; what must be alone, alone."""
        for copy in sorted(
            (c for c in self.copies if c.due is not None and c.due <= now), key=lambda c: (c.due, c.place)
        ):
            copy.due, copy.place = None, self._place()
        waiting = sorted((c for c in self.copies if c.owner is None and c.due is None), key=lambda c: c.order)[:limit]
        before = next((n for n, copy in enumerate(waiting) if copy.alone), len(waiting))
        taken = waiting[: before or 1]
        for copy in taken:
            copy.owner, copy.until = owner, until
        return taken

    def gone(self, copies: Iterable[Copy]) -> None:
        for copy in copies:
            self.copies.remove(copy)

    def back(self, copies: Iterable[Copy], *, due: int | None = None) -> None:
        """A new stay in the queue, so that no earlier receipt names it."""
        for old in sorted(copies, key=lambda c: c.order):
            self.copies.remove(old)
            lane = old.lane - old.lane % 2 + (due is not None)
            self.copies.append(Copy(old.task, lane, self._place(), due, old.alone))

    def recover(self, now: int, dead: str | None) -> list[tuple[Copy, bool]]:
        """What is lost, and whether it was all that its owner held."""
        held = Counter(copy.owner for copy in self.copies if copy.owner)
        over = [c for c in self.copies if c.owner and (c.until < now or c.owner == dead)]
        lost = [(copy, held[copy.owner] == 1) for copy in sorted(over, key=lambda c: c.order)]
        for copy, only_one in lost:
            copy.alone = copy.alone or not only_one
        self.back(over)
        return lost

    def depth(self) -> tuple[int, int, int]:
        """Waiting, delayed, leased."""
        leased = sum(copy.owner is not None for copy in self.copies)
        delayed = sum(copy.due is not None for copy in self.copies)
        return len(self.copies) - delayed - leased, delayed, leased

    def _place(self) -> int:
        self._places += 1
        return self._places

    # Entries

    def add(self, task: Task) -> None:
        self.tasks[task.id] = task
        if task.parent is not None:
            self.tasks[task.parent].family = True

    def claim(self, task_id: str, worker: str) -> None:
        task = self.tasks[task_id]
        task.become(Status.DEQUEUED)
        task.fence, task.worker = task.fence + 1, worker

    def holds(self, task_id: str, fence: int) -> bool:
        task = self.tasks[task_id]
        return task.fence == fence and task.status in HELD

    def start(self, task_id: str, fence: int, attempt: int) -> bool:
        task = self.tasks[task_id]
        if self.holds(task_id, fence) and task.status is Status.DEQUEUED:
            task.become(Status.RUNNING)
            task.attempts = attempt
        return self.holds(task_id, fence)

    def finish(self, task_id: str, fence: int, status: Status, *, attempts: int, due: int, master: bool) -> bool:
        """Accepted if and only if this fence is the current one (P15)."""
        task = self.tasks[task_id]
        if task.fence != fence:
            return False
        if status is Status.ENQUEUED:
            task.ends.setdefault(fence, Cause.RETRY)
        if task.status not in (HELD if status is Status.ENQUEUED else (Status.ENQUEUED, *HELD)):
            return True
        if status is Status.ENQUEUED:
            task.back()
            task.due = due
        elif status is Status.COMPLETED and task.family and not master:
            task.status = Status.CHILD_RUNNING
        else:
            # From ENQUEUED too: its lease ended, and nobody has claimed it since.
            assert task.status is Status.ENQUEUED or can_become(task.status, status)
            task.status, task.bad = status, status is Status.FAILED
        task.attempts = attempts
        self.settle([task_id, task.parent])
        return True

    def release(self, task_id: str, fence: int, cause: Cause) -> None:
        task = self.tasks[task_id]
        if not self.holds(task_id, fence):
            return
        if task.status is Status.RUNNING:
            task.ends.setdefault(fence, cause)
        task.attempts = task.run - 1
        task.back()
        self.settle([task.parent])

    def lost(self, lost: Sequence[tuple[str, bool]], *, running: Iterable[str]) -> None:
        """P4: a crash counts for what is known to have run, and for what was held singly."""
        for task_id, only_one in lost:
            task = self.tasks[task_id]
            if task.status not in HELD:
                continue
            counts = only_one or task_id in running
            if counts or task.status is Status.RUNNING:
                why = Cause.CRASH if task_id in running else Cause.HOST_LOST if only_one else Cause.LEASE_LOST
                task.ends.setdefault(task.fence, why)
            task.crashes += counts
            task.attempts = task.run - (not counts)
            if counts and task.crashes > MAX_CRASHES:
                task.become(Status.FAILED)
                task.bad, task.fence = True, task.fence + 1
            else:
                task.back()
        self.settle(self.tasks[task_id].parent for task_id, _ in lost)

    def cancel(self, task_id: str, *, force: bool) -> None:
        """This and the open ones below it."""
        if self.tasks[task_id].status.ended:
            return
        below = self._below(task_id)
        for task in below:
            if task.status is Status.ENQUEUED or (force and task.status in HELD):
                task.become(Status.CANCELLED)
                task.fence, task.bad = task.fence + 1, True
            task.cancel = task.cancel or not task.status.ended or task.status is Status.CANCELLED
        self.settle(task.parent for task in below)

    def _below(self, task_id: str) -> list[Task]:
        found = [self.tasks[task_id]]
        for task in found:
            found += [child for child in self.tasks.values() if child.parent == task.id]
        return [task for task in found if not task.status.ended]

    def archive(self, task_id: str) -> None:
        if (task := self.tasks[task_id]).status.ended and task.status is not Status.ARCHIVED:
            task.bad = task.status is not Status.COMPLETED
            task.become(Status.ARCHIVED)

    def settle(self, parents: Iterable[str | None]) -> None:
        """P11: a parent waits until no child is open, and then fails if one of them did."""
        for parent in {p for p in parents if p is not None}:
            children = [task for task in self.tasks.values() if task.parent == parent]
            task = self.tasks[parent]
            if task.status is Status.CHILD_RUNNING and all(child.status.ended for child in children):
                failed = any(c.bad or c.status in (Status.FAILED, Status.CANCELLED) for c in children)
                task.become(Status.FAILED if failed else Status.COMPLETED)
                task.bad = failed
                self.settle([task.parent])
