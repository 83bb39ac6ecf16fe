"""What an endpoint works with: the application, who asks, and what this one may see."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import msgspec
from anyio import CapacityLimiter, to_thread

from taskqueue.app import App
from taskqueue.errors import UnknownEntry
from taskqueue.ids import is_id
from taskqueue.tasklog.entry import Entry
from taskqueue.tasklog.reading import TaskLog
from taskqueue.web.tokens import Caller
from taskqueue.web.watching import Watching

P = ParamSpec("P")
R = TypeVar("R")
#: requests that ask a store at the same time; others wait their turn
THREADS = 8


class Threads:
    """Runs what blocks, a few at a time. What nobody waits for any more goes on to its end."""

    def __init__(self, most: int = THREADS) -> None:
        self._most = most
        self._limiter: CapacityLimiter | None = None

    async def run(self, function: Callable[[], R]) -> R:
        """What it returns, or raises."""
        if self._limiter is None:  # only inside of an event loop can it be made
            self._limiter = CapacityLimiter(self._most)
        return await to_thread.run_sync(function, limiter=self._limiter, abandon_on_cancel=True)


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """One request's view. `log` shows a user what is theirs; `known` are the ETags that whoever asks has already."""

    app: App
    caller: Caller
    threads: Threads
    watching: Watching
    known: frozenset[str] = frozenset()

    @property
    def log(self) -> TaskLog:
        """The task log, as the caller may see it."""
        whole = self.app.task_log
        return whole if self.caller.owner is None else whole.for_owner(self.caller.owner)

    @property
    def by(self) -> str:
        """Who it was, for people who look at a pause."""
        return f"{self.caller.name} (web)"

    def entry(self, task_id: str) -> Entry:
        """The entry of that id. Raises UnknownEntry for what is not there, or another owner's."""
        if not is_id(task_id):
            raise UnknownEntry(f"no task {task_id[:100]!r}: this is not what task ids look like")
        return self.log.get(task_id)
