"""What a caller looks for, from a query string or a body, as the task log takes it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from taskqueue.clock import to_micros
from taskqueue.ids import earliest
from taskqueue.status import Status
from taskqueue.tasklog.entry import MAX_PAGE, Filter, Op
from taskqueue.tasklog.query import escaped, wildcard
from taskqueue.web.values import Label

Pattern = Annotated[str, Meta(max_length=500, description="`*` stands for any text; empty: all")]
Moment = Annotated[datetime, Meta(tz=True)]
_PATTERNS = ("queue", "name", "owner", "label", "category")


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tasks; all conditions hold together. `text` is looked for in reports, which reads them all."""

    status: Annotated[list[Label], Meta(max_length=8)] = []
    queue: Pattern = ""
    name: Pattern = ""
    owner: Pattern = ""
    label: Pattern = ""
    category: Pattern = ""
    parent: Annotated[str, Meta(max_length=100, description="the id of their parent")] = ""
    retry_of: Annotated[str, Meta(max_length=100, description="the id of the task that they repeat")] = ""
    since: Moment | None = None
    until: Moment | None = None
    text: Annotated[str, Meta(max_length=500)] = ""

    def filters(self) -> tuple[Filter, ...]:
        """The same as filters of a search."""
        said = [wildcard(column, value) for column in _PATTERNS if (value := getattr(self, column))]
        said += [Filter("status", Op.IN, self.statuses())] if self.status else []
        said += [Filter("parent_id", Op.EQ, self.parent)] if self.parent else []
        said += [Filter("retry_of", Op.EQ, self.retry_of)] if self.retry_of else []
        # Ids begin with their time, and the log is ordered by them.
        said += [Filter("id", Op.GE, earliest(to_micros(self.since)))] if self.since else []
        said += [Filter("id", Op.LT, earliest(to_micros(self.until)))] if self.until else []
        said += [Filter("report", Op.LIKE, f"%{escaped(self.text)}%")] if self.text else []
        return tuple(said)

    def statuses(self) -> list[Status]:
        """The statuses that are meant."""
        return [Status.parse(label) for label in self.status]


class TaskSearch(Conditions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tasks, in which order, and how many at once; `after` is the `next` of the page before."""

    sort: Literal["created", "status", "owner", "name"] = "created"
    order: Annotated[Literal["asc", "desc", ""], Meta(description="empty: newest first, names from A")] = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 50
    after: Annotated[str, Meta(max_length=5000)] = ""

    @property
    def descending(self) -> bool:
        """Whether what is greatest comes first."""
        return self.order == "desc" or (self.order == "" and self.sort == "created")
