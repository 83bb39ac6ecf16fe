"""Following tasks: one poller for all who wait, so that a thousand of them cost the store one question a tick.

It asks only while somebody waits. A store that is away is asked again at the next tick; who has waited for as long as
they said is told then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from taskqueue.errors import BrokerUnavailable
from taskqueue.status import Status
from taskqueue.tasklog.entry import MAX_PAGE, Entry, Filter, Op
from taskqueue.tasklog.reading import TaskLog

log = logging.getLogger(__name__)

#: seconds between two looks
TICK = 0.2


class Mark(NamedTuple):
    """What of a task is watched: its status and, while it runs, how far it says it is."""

    status: Status
    progress: bytes | None = None

    @classmethod
    def of(cls, entry: Entry) -> Mark:
        """Of an entry."""
        return cls(entry.status, entry.progress if entry.status is Status.RUNNING else None)


#: asks for the marks of these; who is gone has none
Look = Callable[[Sequence[str]], dict[str, Mark]]


def looks(task_log: TaskLog) -> Look:
    """Marks as this log knows them: one question for all statuses, and one more for the progress of what runs."""

    def look(ids: Sequence[str]) -> dict[str, Mark]:
        found = {i: Mark(status) for i, status in task_log.broker.statuses(ids).items()}
        running = [i for i, mark in found.items() if mark.status is Status.RUNNING]
        for batch in _batches(running):
            page = task_log.search(Filter("id", Op.IN, batch), limit=MAX_PAGE)
            found |= {entry.id: Mark.of(entry) for entry in page.entries}
        return found

    return look


class Watching:
    """The poller. `look` asks the store and may block: `run` has it done in a thread."""

    def __init__(self, look: Look, run: Callable[[Callable[[], dict[str, Mark]]], Awaitable[dict[str, Mark]]]) -> None:
        self._look = look
        self._run = run
        self._waiting: dict[str, list[tuple[Mark, asyncio.Future[None]]]] = defaultdict(list)
        self._poller: asyncio.Task[None] | None = None
        self._away: BrokerUnavailable | None = None
        self._closed = False

    async def differs(self, task_id: str, mark: Mark, *, within: float) -> bool:
        """Wait until that task is no more as `mark` says; False if it still is after so many seconds.

        Raises BrokerUnavailable if the store does not say so then.
        """
        if self._closed or within <= 0:
            return False
        ours = mark, asyncio.get_running_loop().create_future()
        self._waiting[task_id].append(ours)
        self._poll()
        try:
            await asyncio.wait_for(ours[1], within)
        except TimeoutError:
            if self._away is not None:
                raise self._away from None
            return False
        finally:
            self._forget(task_id, ours)
        return not self._closed

    def close(self) -> None:
        """Nobody waits any longer: the server leaves."""
        self._closed = True
        self._wake(ours for waiting in self._waiting.values() for ours in waiting)

    def _forget(self, task_id: str, ours: tuple[Mark, asyncio.Future[None]]) -> None:
        self._waiting[task_id].remove(ours)
        if not self._waiting[task_id]:
            del self._waiting[task_id]

    def _poll(self) -> None:
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._ticks())

    async def _ticks(self) -> None:
        while self._waiting:
            await asyncio.sleep(TICK)
            ids = list(self._waiting)
            if ids and (found := await self._ask(ids)) is not None:
                self._wake(ours for i in ids for ours in self._waiting.get(i, ()) if found.get(i) != ours[0])

    async def _ask(self, ids: list[str]) -> dict[str, Mark] | None:
        """What the store says of these; None if it is away. One line when it goes and one when it is back (P15)."""
        try:
            found: dict[str, Mark] = {}
            for batch in _batches(ids):
                found |= await self._run(lambda batch=batch: self._look(batch))  # type: ignore[misc]  # bound now
        except BrokerUnavailable as error:
            if self._away is None:
                log.warning("the store is away: %s", error)
            self._away = error
            return None
        if self._away is not None:
            log.warning("the store is back")
        self._away = None
        return found

    @staticmethod
    def _wake(waiting: Iterable[tuple[Mark, asyncio.Future[None]]]) -> None:
        for _, future in waiting:
            if not future.done():
                future.set_result(None)


def _batches(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[at : at + MAX_PAGE] for at in range(0, len(ids), MAX_PAGE))
