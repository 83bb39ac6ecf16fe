"""`CallbackTask`: a call of a function, or of a callable class, as a task."""

from __future__ import annotations

import inspect
import time
import types
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, overload

from taskqueue.errors import ConfigurationError, NotEnqueueable, did_you_mean
from taskqueue.registry import Definition
from taskqueue.task import naming
from taskqueue.task.base import AbstractTask, check_secret
from taskqueue.task.signature import Signature

if TYPE_CHECKING:
    from taskqueue.task.function import TaskFunction

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

#: where a callable keeps its definition
MARK = "__taskqueue_definition__"


class CallableClass(Protocol[P, R_co]):
    """What `@task` takes for a class: its `__call__` has the task's parameters."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class FunctionDefinition(Definition):
    """The definition of a function or callable class under `@task`."""

    def __init__(self, target: Callable[..., Any], name: str | None) -> None:
        refusal = None
        try:
            naming.refuse_shape(target)
            naming.refuse_unbuildable(target)
            name = naming.name_of(target) if name is None else naming.check_name(name)
        except NotEnqueueable as error:
            name, refusal = None, str(error)
        super().__init__(origin=naming.origin_of(target), name=name, refusal=refusal)
        self.target = target
        self.doc = inspect.getdoc(target) or ""

    @cached_property
    def signature(self) -> Signature:
        """Its parameters."""
        is_class = isinstance(self.target, type)
        # Bound to anything at all, so that `self` is no parameter.
        function = types.MethodType(self.target.__call__, self) if is_class else self.target  # type: ignore[operator]  # a class with __call__
        return Signature(self.name, function, secret=self.secret)

    def create(self, parameters: Mapping[str, Any]) -> CallbackTask[Any]:
        return CallbackTask.made_of(self, *self.signature.bind((), dict(parameters)))

    def restore(self, parameters: dict[str, Any], extra: Sequence[Any]) -> CallbackTask[Any]:
        return CallbackTask.made_of(self, *self.signature.unpack(parameters, extra))

    def from_text(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return self.signature.from_text(parameters)

    def revive(self, result: Any) -> Any:
        return self.signature.revive(result)

    def call(self, named: dict[str, Any], extra: Sequence[Any]) -> Any:
        """Call the function, or a fresh instance of the class."""
        function = self.target() if isinstance(self.target, type) else self.target
        return self.signature.call(function, named, extra)

    def check_settings(self) -> None:
        """Raise ConfigurationError where `secret` names what is no parameter."""
        check_secret(self.origin, self.secret)
        if not self.secret or not self.enqueueable:
            return
        for name in self.secret:
            if not self.signature.takes(name):
                guess = did_you_mean(name, self.signature.named)
                raise ConfigurationError(f"{self.origin}: secret names {name!r}, which is no parameter{guess}")


class CallbackTask(AbstractTask, Generic[R], register=False):
    """One call of a task's function: `CallbackTask(regenerate, uri, force=True)`, or `regenerate.bind(uri)`.

    Raises InvalidArguments unless a call with these arguments would be accepted.
    """

    _definition: FunctionDefinition  # type: ignore[misc]  # of each instance here, of the class elsewhere
    _extra: tuple[Any, ...]
    #: whether it was handed to a queue
    is_enqueued: bool = False

    @overload
    def __init__(self, target: TaskFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    def __init__(
        self, target: type[CallableClass[P, Coroutine[Any, Any, R]]], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    def __init__(self, target: type[CallableClass[P, R]], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    def __init__(self, target: Any, /, *args: Any, **kwargs: Any) -> None:
        definition = definition_of(target)
        self._set(definition, *definition.signature.bind(args, kwargs))

    @classmethod
    def made_of(cls, definition: FunctionDefinition, named: dict[str, Any], extra: tuple[Any, ...]) -> CallbackTask[R]:
        """A task of arguments that are bound already."""
        self: CallbackTask[R] = object.__new__(cls)
        self.created_at = time.time_ns() // 1000
        self._set(definition, named, extra)
        return self

    def _set(self, definition: FunctionDefinition, named: dict[str, Any], extra: tuple[Any, ...]) -> None:
        self._definition, self._parameters, self._extra = definition, named, extra
        self.options = definition.options
        if definition.label is not None:
            self.label = definition.label
        if definition.category is not None:
            self.category = definition.category

    def __call__(self) -> Any:
        return self._definition.call(self._parameters, self._extra)

    def mark_as_enqueued(self) -> None:
        """Note that a queue has it."""
        self.is_enqueued = True

    def wire_arguments(self) -> tuple[dict[str, Any], list[Any]]:
        return self._definition.signature.pack(self._parameters, self._extra)


def definition_of(target: Any) -> FunctionDefinition:
    """What `@task` knows about a callable; NotEnqueueable says why there is nothing to know."""
    # A class' own mark only: a subclass is other code. An instance without state is as good as its class.
    for holder in (target, type(target)):
        definition = getattr(holder, "__dict__", {}).get(MARK)
        if isinstance(definition, FunctionDefinition) and (holder is target or not getattr(target, "__dict__", True)):
            return definition
    raise naming.why_no_task(target)
