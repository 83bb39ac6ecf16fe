"""A run's side of `taskqueue.context`: what the task may ask and say while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from taskqueue.context import RunContext
from taskqueue.handle import Handle
from taskqueue.queue import Parent
from taskqueue.task.base import AbstractTask
from taskqueue.worker.inbox import Work

Spawn = Callable[[Parent, Sequence[AbstractTask], Sequence[str | None]], list[Handle[Any]]]


class Run(RunContext):
    """The context of one run in a worker."""

    def __init__(self, work: Work, *, worker: str, spawn: Spawn, stopping: Callable[[], bool]) -> None:
        task, claim = work.decoded, work.held.claim
        self.id = work.id
        self.name = work.name
        self.attempt = claim.attempts + 1
        self.fence = claim.fence
        self.parent_id = work.parent_id
        self.owner = task.header.owner if task else None
        self.queue = work.queue.name
        self.worker = worker
        self._work = work
        self._spawn = spawn
        self._stopping = stopping
        self._children = 0

    def report_progress(self, done: float, total: float | None, message: str) -> None:
        """Leave the latest word for the lifeline; never waits for a store."""
        self._work.progress = msgspec.json.encode({"done": done, "total": total, "message": message})

    @property
    def cancel_requested(self) -> bool:
        return self._work.cancelled

    @property
    def stopping(self) -> bool:
        return self._stopping()

    def spawn(self, tasks: Sequence[AbstractTask], keys: Sequence[str | None]) -> list[Handle[Any]]:
        """Enqueue children under this run's fence; their ids come from key or ordinal (R11)."""
        numbered = [key if key is not None else f"#{self._children + n}" for n, key in enumerate(keys)]
        self._children += len(tasks)
        handles = self._spawn(Parent(self.id, self.fence), tasks, numbered)
        self._work.parented = self._work.parented or bool(handles)
        return handles
