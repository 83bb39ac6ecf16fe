"""One page of a search as rows, with the addresses of its neighbours."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec

from taskqueue.errors import InvalidSearch
from taskqueue.operations.facts import gist, report_of
from taskqueue.operations.times import seconds
from taskqueue.operations.words import count
from taskqueue.status import Status
from taskqueue.tasklog.entry import Entry, Page
from taskqueue.web.pages.searching import ORDERS, ROWS, Said, conditions_of, reads_back
from taskqueue.web.pages.visit import Visit

#: title, sort order, classes of its cells
COLUMNS = (
    ("Status", "status", "status"),
    ("Task", "name", ""),
    ("Queue", None, "c2"),
    ("Owner", "owner", "c3"),
    ("Created", "created", "c2"),
    ("Took", None, "num c2"),
    ("Tries", None, "num c3"),
    ("What", None, "c2"),
)
#: characters of a report that a row has room for
GIST = 200


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A task in the list."""

    id: str
    status: str
    name: str
    queue: str
    label: str | None
    owner: str | None
    created: int
    took: str
    tries: int
    what: str


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column's head; `path` sorts by it."""

    name: str
    style: str
    path: str | None
    sorted: str | None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What the list shows. `query` says the search again, for what is done to all that it finds."""

    rows: list[Row] = []
    columns: list[Column] = []
    query: str = ""
    shown: str = ""
    first: str | None = None
    next: str | None = None
    refused: str = ""
    note: str = ""
    wider: str | None = None
    nothing: str = ""
    advice: str = ""


def listing_of(visit: Visit, said: Said) -> Listing:
    """The page that was asked for. Raises BrokerUnavailable."""
    try:
        filters = conditions_of(said, visit.app.clock).filters()
        found = visit.task_log.search(
            *filters, sort=said.sort, descending=said.order == "desc", limit=ROWS, after=said.after or None
        )
    except InvalidSearch as error:
        return Listing(refused=f"{error}", nothing="Nothing was looked for", advice="Change the search above.")
    return _listed(visit, said, found)


def _listed(visit: Visit, said: Said, found: Page) -> Listing:
    def path(**other: Any) -> str:
        return visit.link("/tasks", **said.query(**other))

    back = reads_back(said)
    return Listing(
        rows=[row_of(entry, visit.app.clock.micros()) for entry in found.entries],
        columns=[_column(said, path, *column) for column in COLUMNS],
        query=urlencode(said.query(after="", id=""), doseq=True),
        shown=_shown(len(found.entries), said, found.next),
        first=path(after="") if said.after else None,
        next=path(after=found.next) if found.next else None,
        note="Looked in the reports of tasks made within the last 24 hours." if back else "",
        wider=path(since="30d", after="") if back else None,
        nothing="No task is like that" if said.narrowed else "No tasks yet",
        advice="Take away a condition, or look further back." if said.narrowed else "What is enqueued appears here.",
    )


def _shown(n: int, said: Said, following: str | None) -> str:
    if said.after:
        return f"{count(n, 'more task')}" + ("" if following else ", the last ones")
    return f"the first {ROWS}" if following else count(n, "task")


def _column(said: Said, path: Any, name: str, sort: str | None, style: str) -> Column:
    if sort is None:
        return Column(name=name, style=style, path=None, sorted=None)
    here = said.sort == sort
    order = {"asc": "desc", "desc": "asc"}[said.order] if here else ORDERS[sort]
    direction = {"asc": "ascending", "desc": "descending"}[said.order] if here else None
    return Column(name=name, style=style, path=path(sort=sort, order=order, after=""), sorted=direction)


def row_of(entry: Entry, now: int) -> Row:
    """The entry as a row."""
    end = entry.finished_at or (now if entry.status is Status.RUNNING else None)
    return Row(
        id=entry.id,
        status=entry.status.label,
        name=entry.name,
        queue=entry.queue,
        label=entry.label,
        owner=entry.owner,
        created=entry.created_at,
        took=seconds((end - entry.started_at) / 1e6) if entry.started_at and end else "",
        tries=entry.attempts,
        what=_what(entry)[:GIST],
    )


def _what(entry: Entry) -> str:
    """How far it is, or how it ended; of a report without words what it carries, if that is short."""
    if said := gist(entry):
        return said
    report = report_of(entry.report) if entry.status.ended else None
    return report.data if report is not None and isinstance(report.data, str) else ""
