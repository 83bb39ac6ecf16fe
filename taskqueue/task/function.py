"""`@task`: a function or callable class that can be enqueued, and called as before."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

from taskqueue.errors import ConfigurationError, InvalidArguments, NotEnqueueable, TaskQueueError, did_you_mean
from taskqueue.options import EnqueueOptions, TaskOptions
from taskqueue.registry import REGISTRY, Around
from taskqueue.task.base import AbstractTask
from taskqueue.task.callback import MARK, CallbackTask, FunctionDefinition, definition_of

if TYPE_CHECKING:
    from taskqueue.handle import Handle

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=Callable[..., Any])
Errors = type[BaseException] | tuple[type[BaseException], ...]


class TaskSettings(TypedDict, total=False):
    """What `@task(...)` takes: the options of `TaskOptions`, and what can only be said here."""

    #: instead of "module:QualName"
    name: str
    retries: int
    backoff: float
    backoff_factor: float
    backoff_max: float
    #: errors worth another attempt; default: every Exception, and TaskTimeout
    retry_on: Errors
    timeout: float
    queue: str
    priority: int
    max_crashes: int
    #: parameters whose values stay out of logs and screens
    secret: tuple[str, ...]
    label: str
    category: str
    #: context managers entered round each run, made by a call with the context
    around: tuple[Around, ...]


class Enqueuer(Protocol):
    """What takes tasks."""

    @property
    def enqueue(self) -> Callable[..., Handle[Any]]: ...


class Dispatcher(Enqueuer, Protocol):
    """What takes tasks, and what is said about them: `taskqueue.QueueDispatcher`."""

    def options(self, **options: Unpack[EnqueueOptions]) -> Enqueuer: ...


class TaskFunction(Generic[P, R]):
    """A function under `@task`. Called, it is the function; `enqueue` has a worker call it."""

    def __init__(self, target: Callable[P, Any], definition: FunctionDefinition) -> None:
        functools.update_wrapper(self, target)
        self.__qualname__ = target.__qualname__
        self._target = target
        self.definition = definition
        setattr(self, MARK, definition)

    @property
    def name(self) -> str:
        """What messages call it; NotEnqueueable says why no worker could find it."""
        return self.definition.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self._target(*args, **kwargs)
        return result

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> CallbackTask[R]:
        """A task of this call, to be enqueued later; raises InvalidArguments."""
        return CallbackTask.made_of(self.definition, *self.definition.signature.bind(args, kwargs))

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Enqueue this call through the process's own dispatcher (see `taskqueue.connect`)."""
        handle: Handle[R] = default_dispatcher().enqueue(self, *args, **kwargs)
        return handle

    def options(self, **options: Unpack[EnqueueOptions]) -> ConfiguredTask[P, R]:
        """The same with options for what is enqueued: `mail.options(delay=60).enqueue("ann")`."""
        return ConfiguredTask(self, options)

    def __reduce__(self) -> str:
        return self.__qualname__  # pickled as the name that it has in its module, as functions are

    def __repr__(self) -> str:
        return f"<task {self.definition.name if self.definition.enqueueable else self.definition.origin}>"


class AsyncTaskFunction(TaskFunction[P, R]):
    """A coroutine function under `@task`: called it gives a coroutine, in a worker its awaited result counts."""

    def __call__(  # type: ignore[override]  # a call is to be awaited, everything else speaks of the result
        self, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]:
        coroutine: Coroutine[Any, Any, R] = self._target(*args, **kwargs)
        return coroutine


class ConfiguredTask(Generic[P, R]):
    """A task's function with options for what is enqueued."""

    def __init__(self, function: TaskFunction[P, R], options: EnqueueOptions) -> None:
        self._function = function
        self._options = options

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Enqueue this call through the process's own dispatcher."""
        handle: Handle[R] = default_dispatcher().options(**self._options).enqueue(self._function, *args, **kwargs)
        return handle


class Decorator(Protocol):
    """What `task(...)` gives."""

    @overload
    def __call__(self, target: type[C], /) -> type[C]: ...  # type: ignore[overload-overlap]  # classes are callable
    @overload
    def __call__(self, target: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTaskFunction[P, R]: ...
    @overload
    def __call__(self, target: Callable[P, R], /) -> TaskFunction[P, R]: ...


@overload
def task(target: type[C], /) -> type[C]: ...  # type: ignore[overload-overlap]  # a class is callable, too
@overload
def task(target: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTaskFunction[P, R]: ...
@overload
def task(target: Callable[P, R], /) -> TaskFunction[P, R]: ...
@overload
def task(**settings: Unpack[TaskSettings]) -> Decorator: ...
def task(target: Any = None, /, **settings: Any) -> Any:
    """Make a function (sync or async) or a callable class a task: `@task`, or `@task(retries=3, timeout=60)`.

    A function becomes a `TaskFunction`. A class stays the class that it is; workers build it without arguments and
    call the instance. What no worker could find again still works when called, and is refused when enqueued.
    """
    if target is None:
        return functools.partial(_make, settings=settings)
    return _make(target, settings)


def _make(target: Any, settings: dict[str, Any]) -> Any:
    if isinstance(target, staticmethod):
        target = target.__func__
    if isinstance(target, type) and issubclass(target, AbstractTask):
        raise ConfigurationError(f"{target.__qualname__} is an AbstractTask: it is a task already, without @task")
    if not callable(target):
        raise NotEnqueueable(f"@task stands above a function or a class, not a {type(target).__qualname__}")
    definition = _define(target, dict(settings))
    if definition.enqueueable:
        REGISTRY.add(definition)
    if isinstance(target, type):
        setattr(target, MARK, definition)
        return target
    return (AsyncTaskFunction if inspect.iscoroutinefunction(target) else TaskFunction)(target, definition)


def _define(target: Callable[..., Any], settings: dict[str, Any]) -> FunctionDefinition:
    definition = FunctionDefinition(target, settings.pop("name", None))
    retry_on = settings.pop("retry_on", None)
    definition.retry_on = (retry_on,) if isinstance(retry_on, type) else retry_on
    for name in ("secret", "label", "category", "around"):
        if name in settings:
            setattr(definition, name, settings.pop(name))
    if unknown := next((name for name in settings if name not in TaskSettings.__annotations__), None):
        guess = did_you_mean(unknown, TaskSettings.__annotations__)
        raise ConfigurationError(f"{definition.origin}: @task has no setting {unknown!r}{guess}")
    try:
        definition.options = TaskOptions(**settings)
    except InvalidArguments as error:
        raise ConfigurationError(f"{definition.origin}: {error}") from None
    definition.check_settings()
    return definition


def as_task(target: Any, /, *args: Any, **kwargs: Any) -> AbstractTask:
    """The task of what an application enqueues: a task, or something under `@task` with its arguments.

    NotEnqueueable says why something else is no task.
    """
    if isinstance(target, TaskFunction):
        return target.bind(*args, **kwargs)
    if isinstance(target, AbstractTask):
        if args or kwargs:
            raise InvalidArguments(f"{target!r} has its parameters already; it takes no arguments here")
        return target
    if isinstance(target, type) and issubclass(target, AbstractTask):
        raise NotEnqueueable(f"{target.__qualname__} is a class of tasks; enqueue one: {target.__qualname__}()")
    definition = definition_of(target)
    return CallbackTask.made_of(definition, *definition.signature.bind(args, kwargs))


_provider: Callable[[], Dispatcher] | None = None


def set_default_dispatcher(provider: Callable[[], Dispatcher] | None) -> None:
    """Say where `TaskFunction.enqueue` finds the process's own dispatcher."""
    global _provider  # noqa: PLW0603  # one a process is its meaning
    _provider = provider


def default_dispatcher() -> Dispatcher:
    """The process's own dispatcher."""
    if _provider is None:
        raise TaskQueueError("this process has no dispatcher yet; call taskqueue.connect() first")
    return _provider()
