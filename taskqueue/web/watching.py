"""Following tasks: one poller for all who wait, so that a thousand of them cost the store one question a tick.

It asks only while somebody waits. A store that is away is asked again at the next tick; who has waited for as long as
they said is told then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
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
#: those that have changed, as they are now (without payload); None: gone
Changes = dict[str, Entry | None]
#: asks for those that are not as all of these marks say; it may name others, too
Look = Callable[[Mapping[str, Collection[Mark]]], Changes]


def looks(task_log: TaskLog) -> Look:
    """As this log knows them: one question for all statuses, and one more for what runs or is another."""

    def look(known: Mapping[str, Collection[Mark]]) -> Changes:
        now = task_log.broker.statuses(list(known))
        suspects = [
            i for i in known if now.get(i) is Status.RUNNING or any(m.status is not now.get(i) for m in known[i])
        ]
        found: dict[str, Entry] = {}
        for batch in _batches(suspects):
            page = task_log.search(Filter("id", Op.IN, batch), limit=MAX_PAGE)
            found |= {entry.id: entry for entry in page.entries}
        return {i: found.get(i) for i in suspects}

    return look


class Watching:
    """The poller. `look` asks the store and may block: `run` has it done in a thread."""

    def __init__(self, look: Look, run: Callable[[Callable[[], Changes]], Awaitable[Changes]]) -> None:
        self._look = look
        self._run = run
        self._waits: set[_Wait] = set()
        self._poller: asyncio.Task[None] | None = None
        self._away: TaskQueueError | None = None
        self.closed = False

    async def changed(self, marks: Marks, *, within: float) -> Changes:
        """Wait until a task is no more as its mark says; those that are not. None after so many seconds, or if closed.

        Raises what keeps the store from saying so, such as BrokerUnavailable, at the end of the time.
        """
        if self.closed or within <= 0 or not marks:
            return {}
        ours = _Wait(marks, asyncio.get_running_loop().create_future())
        self._waits.add(ours)
        self._poll()
        try:
            return await asyncio.wait_for(ours.found, within)
        except TimeoutError:
            if self._away is not None:
                raise self._away from None
            return {}
        finally:
            self._waits.discard(ours)

    def close(self) -> None:
        """Nobody waits any longer: the server leaves."""
        self.closed = True
        for wait in self._waits:
            wait.tell({})

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
                wait.tell({})

    async def _tick(self, waits: Sequence[_Wait]) -> None:
        if waits and (found := await self._ask(waits)) is not None:
            for wait in waits:
                wait.look_at(found)

    async def _ask(self, waits: Iterable[_Wait]) -> Changes | None:
        """What has changed of theirs; None if the store is away. One line when it goes, one when it is back (P15)."""
        known: dict[str, set[Mark]] = defaultdict(set)
        for wait in waits:
            for task_id, mark in wait.marks.items():
                known[task_id].add(mark)
        found: Changes = {}
        try:
            for batch in _batches(list(known)):
                found |= await self._run(partial(self._look, {i: known[i] for i in batch}))
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

    def __init__(self, marks: Marks, found: asyncio.Future[Changes]) -> None:
        self.marks = marks
        self.found = found

    def look_at(self, now: Changes) -> None:
        """Tell, if one of these is not as its mark says."""
        ours = {i: now[i] for i in self.marks.keys() & now.keys()}
        if changed := {i: entry for i, entry in ours.items() if entry is None or Mark.of(entry) != self.marks[i]}:
            self.tell(changed)

    def tell(self, changed: Changes) -> None:
        if not self.found.done():
            self.found.set_result(changed)


def _batches(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[at : at + MAX_PAGE] for at in range(0, len(ids), MAX_PAGE))
