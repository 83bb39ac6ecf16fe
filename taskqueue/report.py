"""A report: what a task answers. A tree of kind, message, data and children, as in the original's Report."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

import msgspec


class Kind(enum.StrEnum):
    """How a report is meant."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task's answer.

    `data` is any value that a message can carry (see `taskqueue.values`). A report counts as failed if it or any
    report below it is an error.
    """

    kind: Kind
    message: str = ""
    data: Any = None
    children: tuple[Report, ...] = ()

    @classmethod
    def info(cls, message: str = "", data: Any = None) -> Report:
        """Something worth knowing."""
        return cls(Kind.INFO, message, data)

    @classmethod
    def success(cls, message: str = "", data: Any = None) -> Report:
        """It worked."""
        return cls(Kind.SUCCESS, message, data)

    @classmethod
    def warning(cls, message: str = "", data: Any = None) -> Report:
        """It worked, but look at this."""
        return cls(Kind.WARNING, message, data)

    @classmethod
    def error(cls, message: str = "", data: Any = None) -> Report:
        """It did not work."""
        return cls(Kind.ERROR, message, data)

    failure = error

    def with_children(self, *children: Report) -> Report:
        """A copy with `children` added at the end; TypeError for what is no report."""
        given: tuple[object, ...] = children
        for child in given:
            if not isinstance(child, Report):
                raise TypeError(
                    f"with_children() takes reports, as Report.info(...) makes them; this is of type "
                    f"{type(child).__name__}"
                )
        return msgspec.structs.replace(self, children=(*self.children, *children))

    def walk(self) -> Iterator[Report]:
        """This report and every one below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def failed(self) -> bool:
        """Whether this report or one below it is an error."""
        return self.kind == Kind.ERROR or any(child.failed for child in self.children)
