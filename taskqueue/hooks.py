"""What applications hang into workers: registered when their modules are imported, called by the worker."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, NamedTuple, Self, TypeVar

from taskqueue.context import Context, context
from taskqueue.registry import Around
from taskqueue.report import Report

log = logging.getLogger(__name__)

WorkerHook = Callable[[], object]
FailureHook = Callable[[Context, Report, BaseException | None], object]
W = TypeVar("W", bound=WorkerHook)
F = TypeVar("F", bound=FailureHook)
A = TypeVar("A", bound=Around)


class Sent(NamedTuple):
    """What is known of messages that are being sent."""

    #: what to send with each of them, so that its run is told to belong here
    headers: Mapping[str, str] | None
    #: to be told id, queue and task of each
    describe: Callable[[Sequence[tuple[str, str, str]]], None]


class Running(NamedTuple):
    """A run that begins."""

    id: str
    name: str
    queue: str
    worker: str
    attempt: int
    parent_id: str | None
    #: what was sent with its message
    headers: Mapping[str, str] | None


#: to be told what became of a run, and in one line what went wrong with it, if anything did
Ended = Callable[[str, str | None], None]


class Tracer(ABC):
    """Follows tasks from where they are enqueued to where they run. There is none unless the application wants one."""

    @abstractmethod
    def sending(self, *, repeats: Sequence[Mapping[str, str] | None] = ()) -> AbstractContextManager[Sent]:
        """Around an enqueue; `repeats` was sent with the messages that it repeats."""

    @abstractmethod
    def processing(self, run: Running) -> AbstractContextManager[Ended]:
        """Around a run, whatever becomes of it."""

    @abstractmethod
    def raised(self, error: BaseException) -> None:
        """Inside `processing`: the task has raised this."""


class Hooks:
    """The hooks of a process, in the order in which they were registered."""

    def __init__(self) -> None:
        self.worker_start: list[WorkerHook] = []
        self.worker_stop: list[WorkerHook] = []
        self.around_task: list[Around] = []
        self.failure: list[FailureHook] = []
        self.tracer: Tracer | None = None

    def clear(self) -> None:
        """Forget them all."""
        for hooks in (self.worker_start, self.worker_stop, self.around_task, self.failure):
            hooks.clear()
        self.tracer = None

    def started(self) -> None:
        """Run the start hooks. What they raise is the worker's own failure to start."""
        for hook in self.worker_start:
            hook()

    def stopped(self) -> None:
        """Run the stop hooks, the last first. What they raise is logged, so that each gets its turn."""
        for hook in reversed(self.worker_stop):
            _guarded(hook)

    def failed(self, report: Report, error: BaseException | None) -> None:
        """Tell the failure hooks that the task of `context` has failed for good. What they raise is logged."""
        for hook in self.failure:
            _guarded(hook, context, report, error)

    def around(self, own: Sequence[Around] = ()) -> AbstractContextManager[object]:
        """What is entered round the task of `context`: the process's context managers, then the task's `own`."""
        if not self.around_task and not own:
            return _NOTHING
        return _Around([*self.around_task, *own])


class _Around(ExitStack):
    def __init__(self, makers: Sequence[Around]) -> None:
        super().__init__()
        self._makers = makers

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            for make in self._makers:
                self.enter_context(make(context))
        except BaseException as error:
            # Nobody gets this stack to leave it, so those that were entered already are left here.
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self


def _guarded(hook: Callable[..., object], *args: Any) -> None:
    try:
        hook(*args)
    except BaseException:  # an application's own code, which must not take the worker with it, be it by sys.exit()
        log.exception("hook failed", extra={"hook": getattr(hook, "__qualname__", repr(hook))})


_NOTHING = nullcontext()
HOOKS = Hooks()


def on_worker_start(hook: W) -> W:
    """Call `hook()` in each worker process before its first task, e.g. to open connections."""
    HOOKS.worker_start.append(hook)
    return hook


def on_worker_stop(hook: W) -> W:
    """Call `hook()` in each worker process after its last task. A worker that is killed calls nothing."""
    HOOKS.worker_stop.append(hook)
    return hook


def around_task(hook: A) -> A:
    """Enter `hook(context)`, a context manager, round each run of each task."""
    HOOKS.around_task.append(hook)
    return hook


def on_failure(hook: F) -> F:
    """Call `hook(context, report, error)` when a run has failed for good; `error` is None if its report says so."""
    HOOKS.failure.append(hook)
    return hook
