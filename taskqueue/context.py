"""`context`: what a running task knows of its run, and what it may ask of its worker.

    @task
    def resize(folder: str) -> None:
        for n, file in enumerate(files := list_files(folder)):
            if context.cancel_requested:
                raise TaskCancelled
            context.progress(n, len(files), file)

It is the same in async tasks and in `asyncio.to_thread`. A thread that a task starts by itself has none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable, Sequence
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from taskqueue.errors import TaskQueueError
from taskqueue.task.base import AbstractTask
from taskqueue.task.callback import CallableClass, CallbackTask
from taskqueue.task.function import TaskFunction, as_task
from taskqueue.visible import storable

if TYPE_CHECKING:
    from taskqueue.handle import Handle

#: largest number, and longest message, of a progress
MOST, MAX_MESSAGE = 1e15, 1000
P = ParamSpec("P")
R = TypeVar("R")


class RunContext(ABC):
    """One run of a task: its facts, and what the worker does for it. Implemented by whoever runs tasks."""

    id: str
    name: str
    queue: str
    #: the process that runs it
    worker: str
    #: which run of the task this is, from 1
    attempt: int
    #: guards all that this run writes; rises at each claim
    fence: int
    parent_id: str | None = None
    owner: str | None = None

    @property
    @abstractmethod
    def cancel_requested(self) -> bool:
        """Whether somebody asked for the task to be cancelled."""

    @property
    @abstractmethod
    def stopping(self) -> bool:
        """Whether the worker is about to leave."""

    @abstractmethod
    def report_progress(self, done: float, total: float | None, message: str) -> None:
        """Tell the task log how far the run has come."""

    @abstractmethod
    def spawn(self, tasks: Sequence[AbstractTask], keys: Sequence[str | None]) -> list[Handle[Any]]:
        """Enqueue children of this task; a key of None stands for the child's ordinal."""


_current: ContextVar[RunContext] = ContextVar("taskqueue_run")


def enter(run: RunContext) -> Token[RunContext]:
    """From here on `context` speaks of `run`: in this thread or coroutine, and in what it awaits."""
    return _current.set(run)


def leave(token: Token[RunContext]) -> None:
    """Undo the `enter` that gave this token."""
    _current.reset(token)


class Context:
    """The run that this code is part of. Outside of a task every use raises TaskQueueError."""

    @property
    def id(self) -> str:
        """The task's id."""
        return _run().id

    @property
    def name(self) -> str:
        """The task's name."""
        return _run().name

    @property
    def queue(self) -> str:
        """The queue that it came from."""
        return _run().queue

    @property
    def attempt(self) -> int:
        """Which run of the task this is, from 1."""
        return _run().attempt

    @property
    def fence(self) -> int:
        """Rises each time the task is handed to a worker: give it to stores that refuse older writers."""
        return _run().fence

    @property
    def worker(self) -> str:
        """The worker that runs it."""
        return _run().worker

    @property
    def parent(self) -> str | None:
        """The id of the task that created this one."""
        return _run().parent_id

    @property
    def owner(self) -> str | None:
        """Whose task it is."""
        return _run().owner

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked for the task to be cancelled: `raise TaskCancelled` agrees."""
        return _run().cancel_requested

    @property
    def stopping(self) -> bool:
        """Whether the worker is about to leave: a long task may store where it is and return or `raise Retry`."""
        return _run().stopping

    @property
    def active(self) -> bool:
        """Whether this code runs in a task at all."""
        return _current.get(None) is not None

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Say how far the task has come; it is seen in the task log. Cheap: call it as often as you like.

        TypeError or ValueError for what is no number, or no text; odd characters in the message are written out.
        """
        whole = None if total is None else _number(total, "total")
        _run().report_progress(_number(done, "done"), whole, _line(message))

    @overload
    def create_child(self, task: TaskFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    @overload
    def create_child(
        self, task: type[CallableClass[P, Coroutine[Any, Any, R]]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]: ...
    @overload
    def create_child(self, task: type[CallableClass[P, R]], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    @overload
    def create_child(self, task: CallbackTask[R], /, *, key: str | None = None) -> Handle[R]: ...
    @overload
    def create_child(self, task: AbstractTask, /, *, key: str | None = None) -> Handle[Any]: ...
    def create_child(self, task: Any, /, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Enqueue a child; this task ends when all its children have (P11).

        A re-run of this task finds its children by their order, or by the `key` that a task which is made already may
        be given (`create_child(resize.bind(file), key=file)`), and doubles none.
        """
        key = kwargs.pop("key", None) if isinstance(task, AbstractTask) else None
        return _run().spawn([as_task(task, *args, **kwargs)], [key])[0]

    def create_children(self, tasks: Iterable[AbstractTask]) -> list[Handle[Any]]:
        """Enqueue many children at once: `create_children(resize.bind(file) for file in files)`."""
        made = [as_task(task) for task in tasks]
        return _run().spawn(made, [None] * len(made)) if made else []


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"context.progress(): {name} is of type {type(value).__name__}; it must be a number")
    if not -MOST <= value <= MOST:
        raise ValueError(f"context.progress(): {name} is {value!r:.20}; it must be a number up to {MOST:g}")
    return int(value) if isinstance(value, int) else float(value)


def _line(message: object) -> str:
    if not isinstance(message, str):
        raise TypeError(f"context.progress(): message is of type {type(message).__name__}; it must be text")
    return storable(str.__str__(message), most=MAX_MESSAGE)


def _run() -> RunContext:
    run = _current.get(None)
    if run is None:
        raise TaskQueueError("`context` speaks of the task that is running, and here runs none; use it inside a task")
    return run


context = Context()
