"""`QueueDispatcher`: all queues behind one front. What applications hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, overload

from taskqueue.clock import Clock, SystemClock
from taskqueue.errors import ConfigurationError, InvalidArguments, InvalidTransition
from taskqueue.filing import Filed, Router, Said, file, file_again
from taskqueue.handle import Handle
from taskqueue.ids import child_id
from taskqueue.options import EnqueueOptions
from taskqueue.queue import Parent, Queue
from taskqueue.sending import Stored, put, send
from taskqueue.task.base import AbstractTask, NamedTask
from taskqueue.task.callback import CallableClass, CallbackTask
from taskqueue.task.function import TaskFunction, as_task
from taskqueue.tasklog.entry import Entry

if TYPE_CHECKING:
    from taskqueue.tasklog.reading import TaskLog

P = ParamSpec("P")
R = TypeVar("R")


class Enqueuer:
    """A dispatcher with options said: `queue.options(delay=60).enqueue(...)`."""

    def __init__(self, dispatcher: QueueDispatcher, said: Said) -> None:
        self._dispatcher = dispatcher
        self._said = said

    @overload
    def enqueue(self, task: TaskFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    @overload
    def enqueue(
        self, task: type[CallableClass[P, Coroutine[Any, Any, R]]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]: ...
    @overload
    def enqueue(self, task: type[CallableClass[P, R]], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    @overload
    def enqueue(self, task: CallbackTask[R], /) -> Handle[R]: ...
    @overload
    def enqueue(self, task: AbstractTask, /) -> Handle[Any]: ...
    def enqueue(self, task: Any, /, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Enqueue one task: an `AbstractTask`, or a function made a task by `@task` with its arguments.

        Returns a handle, or raises; when it returns the task is durably stored (P1).
        """
        return self._dispatcher.store([as_task(task, *args, **kwargs)], self._said)[0]

    def enqueue_many(self, tasks: Iterable[AbstractTask]) -> list[Handle[Any]]:
        """Enqueue all of these or none: one transaction for each database that is concerned."""
        return self._dispatcher.store(list(tasks), self._said)

    def enqueue_by_name(self, name: str, /, **parameters: Any) -> Handle[Any]:
        """Enqueue a task whose code is elsewhere, by its name and parameters. What does not fit fails in the worker."""
        return self._dispatcher.store([NamedTask(name, parameters)], self._said)[0]

    @overload
    async def enqueue_async(self, task: TaskFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    @overload
    async def enqueue_async(
        self, task: type[CallableClass[P, Coroutine[Any, Any, R]]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]: ...
    @overload
    async def enqueue_async(
        self, task: type[CallableClass[P, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]: ...
    @overload
    async def enqueue_async(self, task: CallbackTask[R], /) -> Handle[R]: ...
    @overload
    async def enqueue_async(self, task: AbstractTask, /) -> Handle[Any]: ...
    async def enqueue_async(self, task: Any, /, *args: Any, **kwargs: Any) -> Handle[Any]:
        """`enqueue` without blocking the event loop: it runs in a thread."""
        return await asyncio.to_thread(self.enqueue, task, *args, **kwargs)

    def create_task(
        self,
        task: Any,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        label: str | None = None,
        parent: AbstractTask | Handle[Any] | str | None = None,
        *,
        master_status: bool = False,
    ) -> CallbackTask[Any]:
        """The original's spelling: wrap a callable, enqueue it, and return the task, whose `is_enqueued` is true."""
        positional, named = ((), parameters) if isinstance(parameters, Mapping) else (tuple(parameters), {})
        made = as_task(task, *positional, **named)
        if not isinstance(made, CallbackTask):
            raise InvalidArguments(
                f"create_task() takes a function or callable class made a task by @task, not {task!r}"
            )
        made.label = label if label is not None else made.label
        made.master_status = master_status
        if parent is not None:
            made.parent_id = parent if isinstance(parent, str) else parent.id
        self.enqueue(made)
        return made


class QueueDispatcher(Enqueuer):
    """Queues by name, one task log, and the rules by which tasks find their queue.

    `run_now` runs what waits in a queue that is `immediate` (memory), in the calling thread.
    """

    def __init__(
        self,
        queues: Iterable[Queue],
        task_log: TaskLog,
        *,
        default_queue: str = "default",
        routes: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        run_now: Callable[[Queue], None] | None = None,
    ) -> None:
        super().__init__(self, Said())
        self.queues = {queue.name: queue for queue in queues}
        self.task_log = task_log
        self.clock = clock or SystemClock()
        self.default_queue = default_queue
        self._router = Router(self.queues, default_queue, routes or {})
        self._run_now = run_now or _cannot_run

    def queue(self, name: str) -> Queue:
        """The queue of that name; UnknownQueue says which was perhaps meant."""
        return self._router.named(name)

    def options(
        self,
        *,
        id: str | None = None,  # noqa: A002  # the word that people try
        **options: Unpack[EnqueueOptions],
    ) -> Enqueuer:
        """Say something about the tasks to be enqueued: `queue.options(delay=60, owner="ann").enqueue(...)`.

        `id` (a UUID) makes an enqueue idempotent: repeated with the same id it stores nothing and returns the same
        handle. `connection` enqueues inside the application's own transaction.
        """
        return Enqueuer(self, Said.of({**options, **({"id": id} if id is not None else {})}))

    def handle(self, task_id: str) -> Handle[Any]:
        """The handle of an id that was stored somewhere."""
        return Handle(task_id, self.task_log)

    def initialize(self) -> None:
        """Create what the stores miss and touch nothing else (P17)."""
        for queue in self.queues.values():
            queue.initialize()

    def close(self) -> None:
        """Let go of connections; the dispatcher opens them again when used."""
        for queue in self.queues.values():
            queue.broker.close()
            queue.task_log.close()

    def retry(self, task_id: str) -> Handle[Any]:
        """Enqueue an ended task once more: same parameters, owner and parent, under a new id linked to the old one."""
        return self.retry_many([task_id])[0]

    def retry_many(self, task_ids: Iterable[str]) -> list[Handle[Any]]:
        """The same for several, in their order; all of these or none, as `enqueue_many`."""
        old = [self.task_log.get(task_id) for task_id in task_ids]
        for one in old:
            if not one.status.ended:
                raise InvalidTransition(f"task {one.id} is {one.status.label}; only an ended task can be repeated")
        again, _ = self._send(
            lambda trace: [file_again(one, self.queue(one.queue), self.clock, trace=trace) for one in old], repeats=old
        )
        return [Handle(filed.entry.id, self.task_log) for filed in again]

    def spawn(self, parent: Parent, tasks: Sequence[AbstractTask], keys: Sequence[str | None]) -> list[Handle[Any]]:
        """Enqueue children of a running task, under its fence; a child that exists already is left as it is (R11)."""
        for task, key in zip(tasks, keys, strict=True):
            if key is not None:
                task.id = child_id(parent.id, key)
        said, router, clock = Said(), self._router, self.clock
        filed, _ = self._send(
            lambda trace: [file(task, said, router, clock, parent=parent.id, trace=trace) for task in tasks],
            parent=parent,
        )
        return [Handle(f.entry.id, self.task_log) for f in filed]

    def store(self, tasks: Sequence[AbstractTask], said: Said) -> list[Handle[Any]]:
        """Enqueue tasks with what was said about them: behind every way to enqueue."""
        for option, value in (("id", said.id), ("key", said.key)):
            if value is not None and len(tasks) != 1:
                raise InvalidArguments(f"{option} names one task; give it to enqueue(), not to enqueue_many()")
        if said.id is not None:
            tasks[0].id = said.id
        _, there = self._send(
            lambda trace: [file(task, said, self._router, self.clock, trace=trace) for task in tasks],
            connection=said.connection,
        )
        for task in tasks:
            task.id = there.get(task.id, task.id)
            task.is_enqueued = True
        return [Handle(task.id, self.task_log, _reviver(task)) for task in tasks]

    def _send(
        self,
        filing: Callable[[Mapping[str, str] | None], list[Filed]],
        *,
        parent: Parent | None = None,
        connection: Any = None,
        repeats: Sequence[Entry] = (),
    ) -> Stored:
        return send(filing, lambda filed: self._put(filed, parent=parent, connection=connection), repeats=repeats)

    def _put(self, filed: Sequence[Filed], *, parent: Parent | None = None, connection: Any = None) -> dict[str, str]:
        return put(filed, parent=parent, connection=connection, run_now=self._run_now)


def _reviver(task: AbstractTask) -> Callable[[Any], Any]:
    """How the task's result comes back as its annotation means it."""
    return task.definition.revive if isinstance(task, CallbackTask) else lambda result: result


def _cannot_run(queue: Queue) -> None:
    raise ConfigurationError(f"queue {queue.name!r} runs tasks at once, but nothing here can run them")
