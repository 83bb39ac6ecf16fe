"""What happens in the fleet, looked at once a second for all who listen, and not at all while nobody does."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from taskqueue.app import App
from taskqueue.errors import TaskQueueError
from taskqueue.operations import hosts as host_operations
from taskqueue.operations import queues as queue_operations
from taskqueue.status import ENDED, Status
from taskqueue.web.states import Host, Queue, host_of, queue_of

log = logging.getLogger(__name__)

#: seconds between two samples; and over how many of them rates are taken
PERIOD, WINDOW = 1.0, 60
#: seconds for which keepers say often what their hosts do, after somebody has asked
WATCHED = 15.0


class Flow(msgspec.Struct, frozen=True):
    """How many tasks of a queue the log has, how many of them have ended, and how many of those badly."""

    entered: int = 0
    ended: int = 0
    failed: int = 0


class QueueSample(Queue, frozen=True, kw_only=True):
    """A queue, and how many tasks a minute came, ended, and ended badly, over the last minute that was looked at."""

    entered_per_minute: float
    ended_per_minute: float
    failed_per_minute: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The fleet at one moment. `away` says why the stores do not tell; then the rest is empty."""

    #: seconds since 1970
    at: float
    queues: list[QueueSample] = []
    hosts: list[Host] = []
    away: str = ""


class Sampler:
    """One for a server. `run` has what blocks done in a thread."""

    def __init__(self, app: App, run: Callable[[Callable[[], Sample]], Awaitable[Sample]]) -> None:
        self._app = app
        self._run = run
        self._past: deque[tuple[float, dict[str, Flow]]] = deque(maxlen=WINDOW)
        self._listeners: set[asyncio.Queue[Sample | None]] = set()
        self._sampling: asyncio.Task[None] | None = None
        self._last: Sample | None = None
        self._closed = False

    async def samples(self) -> AsyncIterator[Sample]:
        """Samples as they are taken, until the server leaves. Who is slow misses some, and delays nobody."""
        inbox: asyncio.Queue[Sample | None] = asyncio.Queue(maxsize=1)
        self._listeners.add(inbox)
        self._start()
        try:
            while not self._closed and (sample := await inbox.get()) is not None:
                yield sample
        finally:
            self._listeners.discard(inbox)

    def close(self) -> None:
        """End all of them."""
        self._closed = True
        self._tell(None)

    def _start(self) -> None:
        if self._sampling is None or self._sampling.done():
            self._past.clear()
            self._sampling = asyncio.create_task(self._sample())
        elif self._last is not None:
            self._tell(self._last)

    async def _sample(self) -> None:
        try:
            while self._listeners and not self._closed:
                self._last = await self._run(self._take)
                self._tell(self._last)
                await asyncio.sleep(PERIOD)
        finally:
            # Should it break, nobody is left to listen to nothing.
            self._last = None
            self._tell(None)

    def _tell(self, sample: Sample | None) -> None:
        for inbox in self._listeners:
            if inbox.full():
                inbox.get_nowait()
            inbox.put_nowait(sample)

    def _take(self) -> Sample:
        at = self._app.clock.micros() / 1e6
        try:
            host_operations.watch(self._app, WATCHED)
            return Sample(
                at=at,
                queues=self._queues(),
                hosts=[host_of(one) for one in host_operations.hosts(self._app)],
            )
        except TaskQueueError as error:
            self._past.clear()
            return Sample(at=at, away=str(error))

    def _queues(self) -> list[QueueSample]:
        now, flows = self._app.clock.monotonic(), flows_of(self._app.task_log.stats())
        self._past.append((now, flows))
        since, before = self._past[0]
        return [
            QueueSample(
                **msgspec.structs.asdict(queue_of(state)),
                **_rates(before.get(state.queue, Flow()), flows.get(state.queue, Flow()), now - since),
            )
            for state in queue_operations.states(self._app)
        ]


def flows_of(counts: dict[str, dict[Status, int]]) -> dict[str, Flow]:
    """From the counts of the task log, by queue."""
    return {
        queue: Flow(sum(by.values()), sum(by.get(s, 0) for s in ENDED), by.get(Status.FAILED, 0))
        for queue, by in counts.items()
    }


def _rates(before: Flow, now: Flow, seconds: float) -> dict[str, Any]:
    """How many a minute. What is purged meanwhile makes a count smaller: that is no flow."""

    def rate(name: str) -> float:
        return round(max(0, getattr(now, name) - getattr(before, name)) * 60 / seconds, 1) if seconds else 0.0

    return {f"{name}_per_minute": rate(name) for name in Flow.__struct_fields__}
