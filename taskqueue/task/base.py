"""`AbstractTask`: a task as a class with parameters, and what all tasks have in common."""

from __future__ import annotations

import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self

from taskqueue import ids, values
from taskqueue.errors import ConfigurationError, EncodingError, InvalidArguments, NotEnqueueable
from taskqueue.options import NOTHING_SAID, TaskOptions
from taskqueue.registry import REGISTRY, Around, Definition
from taskqueue.task import naming


class AbstractTask(ABC):
    """A unit of work: parameters, and what to do with them.

        class Reindex(AbstractTask):
            options = TaskOptions(retries=3)

            def __call__(self) -> Report:
                return Report.success(f"reindexed {self.get_parameter('shop')}")

    Subclasses are registered under "module:QualName", or under `class Reindex(AbstractTask, name="reindex")`. A worker
    builds them without arguments and restores the parameters; other state does not travel.
    """

    options: TaskOptions = NOTHING_SAID
    retry_on: ClassVar[tuple[type[BaseException], ...] | None] = None
    secret: ClassVar[tuple[str, ...]] = ()
    around: ClassVar[tuple[Around, ...]] = ()
    _definition: ClassVar[Definition]

    #: whose task it is
    owner: str | None = None
    #: a name for people
    label: str | None = None
    category: str | None = None
    parent_id: str | None = None
    #: its own report decides its status, whatever becomes of its children
    master_status: bool = False
    #: it was stored by a dispatcher
    is_enqueued: bool = False
    #: when it was made: microseconds since 1970 UTC
    created_at: int
    _id: str | None = None
    _parameters: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ARG004  # they are for __init__
        # Here and not in __init__, so that a subclass with an __init__ of its own need not know of it.
        self = super().__new__(cls)
        self._parameters = {}
        self.created_at = time.time_ns() // 1000
        return self

    def __init_subclass__(cls, *, name: str | None = None, register: bool = True, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if not register:
            return
        cls._definition = definition = ClassDefinition(cls, name)
        if definition.enqueueable:
            REGISTRY.add(definition)

    @abstractmethod
    def __call__(self) -> Any:
        """Do the work. A Report is the task's answer; any other result becomes the data of a success report."""

    @property
    def id(self) -> str:
        """The task's id: made when it is first asked for, unless it was given before."""
        if self._id is None:
            self._id = ids.new_id()
        return self._id

    @id.setter  # noqa: A003  # the property above, not the builtin
    def id(self, value: str) -> None:
        self._id = value

    @property
    def name(self) -> str:
        """The name under which workers know it; NotEnqueueable where they cannot."""
        return self.definition.name

    @property
    def definition(self) -> Definition:
        """What was said where the task is defined."""
        return self._definition

    @property
    def secrets(self) -> tuple[str, ...]:
        """Parameters whose values stay out of logs and screens (P19)."""
        return self.definition.secret

    @property
    def parameters(self) -> Mapping[str, Any]:
        """All parameters, to read."""
        return MappingProxyType(self._parameters)

    def set_parameter(self, name: str, value: Any) -> None:
        """Set one parameter. Subclasses validate in setters of their own and call this."""
        self._parameters[name] = value

    def set_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Set several parameters; those not named stay."""
        for name, value in parameters.items():
            self.set_parameter(name, value)

    def get_parameter(self, name: str, default: Any = None) -> Any:
        """The parameter's value, or `default` where it was not set."""
        return self._parameters.get(name, default)

    def wire_arguments(self) -> tuple[dict[str, Any], list[Any]]:
        """Parameters by name and by position in their wire form; raises EncodingError, naming the parameter."""
        naming.refuse_unbuildable(type(self))
        return self._packed_parameters(), []

    def _packed_parameters(self) -> dict[str, Any]:
        return {name: self._pack(name, value) for name, value in self._parameters.items()}

    def _pack(self, name: str, value: Any) -> Any:
        if not isinstance(name, str):
            raise EncodingError(f"{self.name}: the parameter name {name!r} is no string")
        try:
            return values.pack(value)
        except values.Unfit as unfit:
            raise EncodingError(f"{self.name}: parameter '{name}{unfit.where}': {unfit.reason}") from None

    def __repr__(self) -> str:
        known = self._definition.origin if self._id is None else self._id
        return f"<{type(self).__qualname__} {known}>"


class NamedTask(AbstractTask, register=False):
    """A task known by its name alone: its code is elsewhere, so its parameters go unchecked to those who have it."""

    def __init__(self, name: str, parameters: Mapping[str, Any]) -> None:
        self._name = naming.check_name(name)
        self.set_parameters(parameters)

    @property
    def name(self) -> str:
        return self._name

    @property
    def secrets(self) -> tuple[str, ...]:
        return ()

    def wire_arguments(self) -> tuple[dict[str, Any], list[Any]]:
        return self._packed_parameters(), []

    def __call__(self) -> Any:
        raise NotEnqueueable(f"{self._name} is known by its name alone and cannot run in this process")

    def __repr__(self) -> str:
        return f"<NamedTask {self._name}>"


class ClassDefinition(Definition):
    """The definition of a subclass of AbstractTask."""

    def __init__(self, cls: type[AbstractTask], name: str | None) -> None:
        refusal = None
        try:
            name = naming.name_of(cls) if name is None else naming.check_name(name)
        except NotEnqueueable as error:
            name, refusal = None, str(error)
        super().__init__(origin=naming.origin_of(cls), name=name, refusal=refusal)
        self.cls = cls
        self.options, self.retry_on, self.secret, self.around = cls.options, cls.retry_on, cls.secret, cls.around
        self.label, self.category = cls.label, cls.category
        self.doc = inspect.getdoc(cls) or ""
        check_secret(self.origin, self.secret)

    def create(self, parameters: Mapping[str, Any]) -> AbstractTask:
        task = self._build()
        task.set_parameters(parameters)
        return task

    def restore(self, parameters: dict[str, Any], extra: Sequence[Any]) -> AbstractTask:
        if extra:
            raise InvalidArguments(f"{self.origin} takes parameters by name only")
        task = self._build()
        task._parameters = parameters  # noqa: SLF001  # as they were set, past setters that validate
        return task

    def from_text(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return dict(parameters)

    def _build(self) -> AbstractTask:
        try:
            return self.cls()
        except Exception as error:  # the application's own __init__ runs here
            raise InvalidArguments(
                f"{self.origin} cannot be built without arguments, as a worker does it "
                f"({type(error).__name__}: {error}); give its state as parameters"
            ) from error


def check_secret(origin: str, secret: Sequence[str]) -> None:
    """Raise ConfigurationError for `secret="password"`, which would name eight parameters of one letter."""
    if isinstance(secret, str):
        raise ConfigurationError(f"{origin}: secret is a tuple of names, secret=({secret!r},)")
