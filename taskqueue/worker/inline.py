"""Running tasks at once, in the caller: what enqueuing into memory does (R18)."""

from __future__ import annotations

import threading
from collections import deque

from taskqueue.clock import Clock
from taskqueue.queue import Finished, Held, Queue
from taskqueue.registry import Registry
from taskqueue.tasklog.entry import Outcome
from taskqueue.worker.inbox import Work
from taskqueue.worker.run import Run, Spawn
from taskqueue.worker.runner import Runner
from taskqueue.worker.unpack import unpack

FOREVER = float("inf")
#: what the task log calls the caller that ran a task itself
INLINE = "inline"


class Inline:
    """Works a queue off in the calling thread, one task after the other, in order.

    What a task enqueues runs after it, not inside it: a thread that is working a queue off does not begin again.
    """

    def __init__(self, registry: Registry, clock: Clock, *, spawn: Spawn) -> None:
        self._registry = registry
        self._clock = clock
        self._spawn = spawn
        self._busy = threading.local()

    def __call__(self, queue: Queue) -> None:
        """Run what waits in `queue`, and what that enqueues, into this queue and others."""
        later: deque[Queue] | None = getattr(self._busy, "later", None)
        if later is not None:
            later.append(queue)
            return
        later = self._busy.later = deque([queue])
        runner = Runner(self._clock, self._context_of)
        try:
            while later:
                self._drain(later.popleft(), runner)
        finally:
            self._busy.later = None
            runner.close()

    def _drain(self, queue: Queue, runner: Runner) -> None:
        finished: list[Finished] = []
        while True:
            turn = queue.turn(finished, limit=1, lease=queue.limits.lease, worker=INLINE)
            if turn.short:
                return
            # None is held where the message was dropped, because no task stands behind it: more may wait.
            finished = [Finished(held.delivery, self._run(queue, held, runner)) for held in turn.held]

    def _run(self, queue: Queue, held: Held, runner: Runner) -> Outcome:
        return runner.run(unpack(queue, held, self._registry, worker=INLINE, lease_end=FOREVER))

    def _context_of(self, work: Work) -> Run:
        return Run(work, worker=INLINE, spawn=self._spawn, stopping=lambda: False)
