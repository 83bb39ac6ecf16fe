"""`Kit`: queues in memory, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Self

from msgspec.structs import replace

from taskqueue.brokers.base import Broker
from taskqueue.brokers.memory import InMemoryQueueBroker
from taskqueue.clock import SystemClock
from taskqueue.dispatcher import QueueDispatcher
from taskqueue.errors import TaskFailed
from taskqueue.filing import Router
from taskqueue.queue import Held, Limits, Queue
from taskqueue.registry import REGISTRY, Registry
from taskqueue.status import Status
from taskqueue.task import AbstractTask, TaskFunction
from taskqueue.task.callback import definition_of
from taskqueue.tasklog.reading import TaskLog
from taskqueue.testing.drain import WORKER, Drain, Ran
from taskqueue.testing.recorder import Enqueued, Recorder, enqueued
from taskqueue.testing.standin import standing_in


class KitClock:
    """Stands still, but for `travel`."""

    def __init__(self) -> None:
        now = SystemClock()
        self._monotonic, self._micros = now.monotonic(), now.micros()

    def monotonic(self) -> float:
        return self._monotonic

    def micros(self) -> int:
        return self._micros

    def travel(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self._monotonic += seconds
        self._micros += round(seconds * 1e6)


class Kit:
    """What is enqueued in this process is caught here, and runs when `drain` says so.

    A context manager: inside it every dispatcher holds the kit's queues, whatever its configuration says of stores.
    Arguments pass through the real codec, tasks run in the real runner (retries, children, `around_task` and
    `on_failure`); time limits and worker hooks are left out. What is enqueued with `connection=` counts at once,
    whether that is committed or not: a test's own transaction rarely is.
    """

    def __init__(self, *, registry: Registry = REGISTRY) -> None:
        self.clock = KitClock()
        self._registry = registry
        self._log = Recorder(clock=self.clock)
        self._queues = _Queues(self._log, self.clock)
        #: takes what a `taskqueue.connect()` takes; each queue that is named exists
        self.queue: QueueDispatcher = _AnyQueue(self._queues, TaskLog(self._log, clock=self.clock), self.clock)
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self._running.enter_context(standing_in(self.queue, self._queues.stand_for))
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def task_log(self) -> TaskLog:
        """What became of every task."""
        return self.queue.task_log

    def enqueued(self, task: Any = None) -> list[Enqueued]:
        """Every task that was enqueued so far, in order, whether it ran or not; with `task` only those of it.

        `task` is a function or class under `@task`, a subclass of AbstractTask, or a name.
        """
        name = None if task is None else _name_of(task)
        found = [entry for entry in self._log.added if name in (None, entry.name)]
        return [enqueued(entry, self.queue.handle(entry.id), self._registry) for entry in found]

    def travel(self, seconds: float) -> None:
        """Move the clock on by `seconds`: what is delayed or waits for its retry until then is due. Runs nothing."""
        if seconds < 0:
            raise ValueError(f"travel({seconds:g}): time goes on, not back")
        self.clock.travel(seconds)

    def drain(self, *, limit: int = 1000, raise_failures: bool = False) -> list[Ran]:
        """Run what is due, and what that enqueues, until nothing is; what ran, in order.

        Within a queue by priority, then first in, first out; queues take turns, a task each. More than `limit` runs
        are an AssertionError. With `raise_failures` the first task that failed for good raises TaskFailed, from the
        error that it raised.
        """
        ran: list[Ran] = []
        with Drain(self.queue, self._registry) as drain:
            for queue, held in self._due():
                if len(ran) >= limit:
                    queue.release([held])
                    names = ", ".join(sorted({one.name for one in ran}))
                    raise AssertionError(f"{limit:,} tasks ran and more are due: do they enqueue each other? ({names})")
                ran.append(drain.run(queue, held))
                if raise_failures and ran[-1].status is Status.FAILED:
                    raise _failure(ran[-1]) from drain.error
        return ran

    def _due(self) -> Iterator[tuple[Queue, Held]]:
        found = True
        while found:
            found = False
            for queue in list(self._queues.values()):
                turn = queue.turn([], limit=1, lease=queue.limits.lease, worker=WORKER)
                # A message that was dropped (its task was cancelled) holds nothing, and more may be due.
                found = found or not turn.short
                yield from ((queue, held) for held in turn.held)


class _Queues(dict[str, Queue]):
    """Queues by name, made when they are first asked for."""

    def __init__(self, log: Recorder, clock: KitClock) -> None:
        super().__init__()
        self._log = log
        self._clock = clock

    def __missing__(self, name: str) -> Queue:
        broker = InMemoryQueueBroker(name, clock=self._clock, immediate=False)
        # One task at a time runs here, in order: whatever queue the application's own configuration makes of it.
        broker.capabilities = replace(broker.capabilities, groups=True)
        return self._made(broker, Limits())

    def stand_for(self, queue: Queue) -> Queue:
        """The queue of the same name, with the same limits."""
        ours = self[queue.name]
        return ours if ours.limits == queue.limits else self._made(ours.broker, queue.limits)

    def _made(self, broker: Broker, limits: Limits) -> Queue:
        self[broker.queue] = queue = Queue(broker, self._log, limits=limits, clock=self._clock)
        return queue


class _AnyQueue(QueueDispatcher):
    """A dispatcher without a configuration, for which each queue that is named exists."""

    def __init__(self, queues: _Queues, task_log: TaskLog, clock: KitClock) -> None:
        super().__init__([queues["default"]], task_log, clock=clock)
        self.queues = queues
        self._router = Router(queues, self.default_queue, {})


def _name_of(task: Any) -> str:
    if isinstance(task, str):
        return task
    if isinstance(task, TaskFunction):
        return task.name
    if isinstance(task, type) and issubclass(task, AbstractTask):
        return task._definition.name  # noqa: SLF001  # where classes of tasks keep it
    return definition_of(task).name


def _failure(ran: Ran) -> TaskFailed:
    text = ran.report.message if ran.report else "no report"
    return TaskFailed(f"{ran.name} failed: {text}", ran.report)
