"""What passes between the lifeline and the task thread: unstarted work one way, outcomes the other.

Starting a task and withdrawing it use the same lock (R6), so a task is either started or given back, never both.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from taskqueue.clock import Clock
from taskqueue.codec import DecodedTask
from taskqueue.errors import TaskQueueError
from taskqueue.queue import Held, Queue
from taskqueue.tasklog.entry import Outcome
from taskqueue.worker.lastlines import LastLines

#: seconds between two signs of life of a task thread that waits
BEAT = 5.0


class Work(msgspec.Struct):
    """One held delivery in a worker, decoded; `problem` says why it cannot run."""

    queue: Queue
    held: Held
    #: who runs it, as people see it
    worker: str
    #: what is known of it even where it cannot be decoded
    name: str
    parent_id: str | None
    master_status: bool
    decoded: DecodedTask | None
    problem: TaskQueueError | None
    timeout: float
    #: until then (monotonic) the lease holds; moved on at each renewal
    lease_end: float
    cancelled: bool = False
    #: it created children in this run
    parented: bool = False
    #: what it last said of its progress, not stored yet
    progress: bytes | None = None
    #: what it logged last; None: nothing
    lines: LastLines | None = None
    #: when it was started (monotonic, 0 before), and the interrupter's number of the run
    started: float = 0.0
    run: int = 0
    claimed: float = 0.0

    @property
    def id(self) -> str:
        """The task's id."""
        return self.held.delivery.id


class Inbox:
    """The locked desk between the two threads. `poke` wakes the lifeline."""

    def __init__(self, clock: Clock, poke: Callable[[], None]) -> None:
        self._clock = clock
        self._poke = poke
        #: called every `BEAT` seconds, and at each change, while the task thread waits here, so that others see it live
        self.beat: Callable[[], None] = lambda: None
        self._change = threading.Condition()
        self._ready: deque[Work] = deque()
        self._finished: list[tuple[Work, Outcome]] = []
        self._low = 0
        self._closed = False
        self._storing = False
        self._abandoned = False
        #: the task thread waits for its outcomes to be stored
        self.hurry = False
        #: nothing is handed out
        self.paused = False
        self.current: Work | None = None
        self.taken = 0
        #: how many tasks may still be taken; None: any number
        self.quota: int | None = None
        self.oldest_finished = 0.0
        #: monotonic time at which the last task ended
        self.ended_at = 0.0

    # The task thread

    def take(self) -> Work | None:
        """The next task to run; waits for one. None: the worker stops."""
        with self._change:
            while (work := self._next()) is None and not self.closed:
                # Only when there is something new: the lifeline's answers to a poke must not poke it again.
                self._poke()
                self._wait(lambda: bool(self._ready and not self.paused) or self.closed)
            return self._begin(work) if work is not None else None

    def _next(self) -> Work | None:
        if self.closed or self.paused:
            return None
        now = self._clock.monotonic()
        while self._ready:
            work = self._ready.popleft()
            # A lease that has ended admits no start; its message is another worker's by now.
            if work.lease_end > now:
                return work
        return None

    def _begin(self, work: Work) -> Work:
        work.started = self._clock.monotonic()
        # Before the quota is used up: who sees none left must see the task that took the last of it.
        self.current = work
        self.taken += 1
        if self.quota is not None:
            self.quota -= 1
        if len(self._ready) == self._low:
            self._poke()
        return work

    def done(self, work: Work, outcome: Outcome) -> None:
        """The current task is over."""
        with self._change:
            self.ended_at = self._clock.monotonic()
            if not self._finished:
                self.oldest_finished = self.ended_at
            # Before `current` is cleared: who sees nothing running must see what it left.
            self._finished.append((work, outcome))
            self.current = None

    def flushed(self) -> None:
        """Wait until every outcome is stored (`commit = "each"`)."""
        with self._change:
            self.hurry = True
            self._poke()
            self._wait(lambda: not (self._finished or self._storing) or self._abandoned)
            self.hurry = False

    def _wait(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.beat()
            self._change.wait(BEAT)

    # The lifeline

    def put(self, works: Iterable[Work]) -> None:
        """Add work; the task thread is woken. The lifeline is poked when half of it is left."""
        with self._change:
            self._ready.extend(works)
            self._low = len(self._ready) // 2
            self._change.notify_all()

    def withdraw(self, keep: Callable[[Work], bool] = lambda _: False) -> list[Work]:
        """Take back the unstarted work that `keep` does not want."""
        with self._change:
            back = [work for work in self._ready if not keep(work)]
            self._ready = deque(work for work in self._ready if keep(work))
            return back

    def restore(self, works: Sequence[Work]) -> None:
        """What was withdrawn could not be given back: it is still ours, and first in order."""
        with self._change:
            self._ready.extendleft(reversed(works))

    def collect(self, wanted: Callable[[Work], bool] = lambda _: True) -> list[tuple[Work, Outcome]]:
        """The outcomes to be stored now, of the work that is `wanted`; tell `stored` or `put_back` about them."""
        with self._change:
            finished = [pair for pair in self._finished if wanted(pair[0])]
            self._finished = [pair for pair in self._finished if not wanted(pair[0])]
            self._storing = bool(finished)
            return finished

    def stored(self) -> None:
        """What was collected is in the store."""
        with self._change:
            self._storing = False
            self._change.notify_all()

    def put_back(self, finished: Sequence[tuple[Work, Outcome]]) -> None:
        """What was collected could not be stored; it waits for the store's return (P15)."""
        with self._change:
            self._storing = False
            self._finished[:0] = finished
            if finished:
                self.oldest_finished = self._clock.monotonic()

    def hold(self, *, paused: bool) -> None:
        """Hand out nothing until this is taken back (P6)."""
        if paused is self.paused:
            return
        with self._change:
            self.paused = paused
            self._change.notify_all()

    def close(self) -> None:
        """Hand out nothing more."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def abandon(self) -> None:
        """The lifeline is gone: nobody will store anything any more."""
        with self._change:
            self._closed = self._abandoned = True
            self._change.notify_all()

    @property
    def closed(self) -> bool:
        """No task will be handed out any more."""
        return self._closed or self.quota == 0

    @property
    def ready(self) -> list[Work]:
        """The unstarted work, in order."""
        with self._change:
            return list(self._ready)

    @property
    def held(self) -> list[Work]:
        """All work that has not ended: what runs, if anything does, and what is unstarted."""
        with self._change:
            return [*([self.current] if self.current is not None else []), *self._ready]

    @property
    def waiting(self) -> int:
        """How many are unstarted."""
        return len(self._ready)

    @property
    def running_low(self) -> bool:
        """Half of the last batch is gone."""
        return len(self._ready) <= self._low

    @property
    def pending(self) -> list[Work]:
        """The work whose outcomes are not stored yet."""
        with self._change:
            return [work for work, _ in self._finished]

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing is ready to run."""
        with self._change:
            return self.current is None and not self._ready

    @property
    def empty(self) -> bool:
        """Idle, and nothing waits to be stored."""
        with self._change:
            return self.current is None and not (self._ready or self._finished or self._storing)
