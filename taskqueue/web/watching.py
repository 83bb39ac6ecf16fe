"""Following tasks: one poller for all who wait, so that a thousand of them cost the store one question a tick.

It asks only while somebody waits. A store that is away is asked again at the next tick; who has waited for as long as
they said is told then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from taskqueue.errors import TaskQueueError
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


Marks = Mapping[str, Mark]
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
        self._waits: set[_Wait] = set()
        self._poller: asyncio.Task[None] | None = None
        self._away: TaskQueueError | None = None
        self.closed = False

    async def changed(self, marks: Marks, *, within: float) -> set[str]:
        """Wait until a task is no more as its mark says; those that are not. None after so many seconds, or if closed.

        Raises what keeps the store from saying so, such as BrokerUnavailable, at the end of the time.
        """
        if self.closed or within <= 0 or not marks:
            return set()
        ours = _Wait(marks, asyncio.get_running_loop().create_future())
        self._waits.add(ours)
        self._poll()
        try:
            return await asyncio.wait_for(ours.found, within)
        except TimeoutError:
            if self._away is not None:
                raise self._away from None
            return set()
        finally:
            self._waits.discard(ours)

    def close(self) -> None:
        """Nobody waits any longer: the server leaves."""
        self.closed = True
        for wait in self._waits:
            wait.tell(set())

    def _poll(self) -> None:
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._ticks())

    async def _ticks(self) -> None:
        try:
            while self._waits:
                await asyncio.sleep(TICK)
                await self._tick(list(self._waits))
        finally:
            # Should it break, nobody is left to wait for nothing.
            for wait in self._waits:
                wait.tell(set())

    async def _tick(self, waits: Sequence[_Wait]) -> None:
        if waits and (found := await self._ask(waits)) is not None:
            for wait in waits:
                if changed := {i for i, mark in wait.marks.items() if found.get(i) != mark}:
                    wait.tell(changed)

    async def _ask(self, waits: Iterable[_Wait]) -> Marks | None:
        """What the store says of theirs; None if it is away. One line when it goes and one when it is back (P15)."""
        ids, found = list({i for wait in waits for i in wait.marks}), dict[str, Mark]()
        try:
            for batch in _batches(ids):
                found |= await self._run(partial(self._look, batch))
        except TaskQueueError as error:
            if self._away is None:
                log.warning("the store is away: %s", error)
            self._away = error
            return None
        if self._away is not None:
            log.warning("the store is back")
        self._away = None
        return found


class _Wait:
    """Somebody who waits for a change of these."""

    def __init__(self, marks: Marks, found: asyncio.Future[set[str]]) -> None:
        self.marks = marks
        self.found = found

    def tell(self, changed: set[str]) -> None:
        if not self.found.done():
            self.found.set_result(changed)


def _batches(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[at : at + MAX_PAGE] for at in range(0, len(ids), MAX_PAGE))
