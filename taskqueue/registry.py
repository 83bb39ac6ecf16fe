"""Which tasks this process knows: name -> definition. What is not in here does not run (P8)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from taskqueue.errors import ConfigurationError, NotEnqueueable, UnknownTask, did_you_mean
from taskqueue.options import NOTHING_SAID, TaskOptions

if TYPE_CHECKING:
    from taskqueue.context import Context
    from taskqueue.task.base import AbstractTask

#: made anew for each run, entered round it
Around = Callable[["Context"], AbstractContextManager[Any]]


class Definition(ABC):
    """What a process knows about a task: its name, how it is built, and all that was said where it is defined."""

    def __init__(self, *, origin: str, name: str | None, refusal: str | None = None) -> None:
        #: "module:QualName" of the code, whatever the name
        self.origin = origin
        self.options: TaskOptions = NOTHING_SAID
        #: which errors are worth another attempt; None: the default of `taskqueue.retry`
        self.retry_on: tuple[type[BaseException], ...] | None = None
        #: parameters whose values stay out of logs and screens (P19)
        self.secret: tuple[str, ...] = ()
        self.label: str | None = None
        self.category: str | None = None
        self.around: tuple[Around, ...] = ()
        self.doc = ""
        self._name = name
        self._refusal = refusal

    @property
    def name(self) -> str:
        """What messages call it; NotEnqueueable says why no worker could find it."""
        if self._name is None:
            raise NotEnqueueable(self._refusal or f"{self.origin} has no name")
        return self._name

    @property
    def enqueueable(self) -> bool:
        """Whether it has a name that workers can find."""
        return self._name is not None

    @abstractmethod
    def create(self, parameters: Mapping[str, Any]) -> AbstractTask:
        """A new task with these parameters, as an application makes it; raises InvalidArguments."""

    @abstractmethod
    def restore(self, parameters: dict[str, Any], extra: Sequence[Any]) -> AbstractTask:
        """The task of a message, from its unpacked values; raises InvalidArguments."""

    @abstractmethod
    def from_text(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters typed by hand (strings and JSON values), as the annotations mean them; raises InvalidArguments."""

    def revive(self, result: Any) -> Any:
        """What a run answered, as the annotation of its result means it; unchanged where that says nothing."""
        return result


class Registry:
    """Definitions by name."""

    def __init__(self) -> None:
        self._definitions: dict[str, Definition] = {}

    def add(self, definition: Definition) -> None:
        """Make it known. The same code again (a reloaded module) replaces; other code under its name is refused."""
        name = definition.name
        known = self._definitions.get(name)
        if known is not None and known.origin != definition.origin:
            raise ConfigurationError(
                f"two tasks are named {name!r}: {known.origin} and {definition.origin}; give one another name"
            )
        self._definitions[name] = definition

    def get(self, name: str) -> Definition:
        """The definition of that name; UnknownTask says which was perhaps meant."""
        try:
            return self._definitions[name]
        except KeyError:
            raise UnknownTask(
                f"no task {name!r} in this process{did_you_mean(name, self._definitions)}; "
                "its module must be in [app] modules"
            ) from None

    def __contains__(self, name: str) -> bool:
        return name in self._definitions

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._definitions))

    def __len__(self) -> int:
        return len(self._definitions)


#: what `@task` and subclasses of `AbstractTask` are registered in
REGISTRY = Registry()
