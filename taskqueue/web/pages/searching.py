"""The search form: what was said in it, as conditions of the task log and as an address that says it again."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import asdict, replace
from starlette.datastructures import QueryParams

from taskqueue.clock import Clock, to_datetime, to_micros
from taskqueue.errors import InvalidSearch
from taskqueue.settings import durations
from taskqueue.status import Status
from taskqueue.web.search import Conditions

#: rows of a page
ROWS = 50
#: seconds back to which the text of reports is read where nothing else is said: it is no index that finds it
READ_BACK = 24 * 3600.0
#: sort orders that a list has, and which way each begins
ORDERS = {"created": "desc", "status": "asc", "owner": "asc", "name": "asc"}
_TEXTS = ("queue", "name", "owner", "label")
_SPAN = re.compile(r"\d+(\.\d+)?\s*[A-Za-z]*")


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The form's fields, as they were filled in."""

    status: tuple[str, ...] = ()
    queue: str = ""
    name: str = ""
    owner: str = ""
    label: str = ""
    since: str = ""
    until: str = ""
    text: str = ""
    id: str = ""
    parent: str = ""
    sort: str = "created"
    order: str = "desc"
    after: str = ""

    @classmethod
    def of(cls, query: QueryParams) -> Said:
        """From a query string; what a list does not know is not said."""
        known = {name: query.get(name, "").strip() for name in cls.__struct_fields__ if name != "status"}
        sort = known["sort"] if known["sort"] in ORDERS else "created"
        order = known["order"] if known["order"] in ("asc", "desc") else ORDERS[sort]
        labels = {status.label for status in Status}
        chosen = tuple(dict.fromkeys(label for label in query.getlist("status") if label in labels))
        return cls(**known | {"sort": sort, "order": order}, status=chosen)

    def query(self, **other: Any) -> dict[str, Any]:
        """As values of an address, with these others; what is usual is not said."""
        said = asdict(replace(self, **other))
        usual = {"sort": "created", "order": ORDERS[said["sort"]]}
        return {name: value for name, value in said.items() if value and value != usual.get(name)} | (
            {"status": list(said["status"])} if said["status"] else {}
        )

    @property
    def narrowed(self) -> bool:
        """Whether anything is looked for in particular."""
        return any(getattr(self, name) for name in (*_TEXTS, "status", "since", "until", "text", "parent"))


def conditions_of(said: Said, clock: Clock) -> Conditions:
    """Which tasks are meant, as the API takes it. Raises InvalidSearch, which says what is wrong."""
    since = (
        moment(said.since, clock) if said.since else clock.micros() - int(READ_BACK * 1e6) if reads_back(said) else None
    )
    try:
        return msgspec.convert(
            {
                **{name: getattr(said, name) for name in (*_TEXTS, "parent", "text")},
                "status": list(said.status),
                "since": to_datetime(since) if since is not None else None,
                "until": to_datetime(moment(said.until, clock)) if said.until else None,
            },
            Conditions,
        )
    except msgspec.ValidationError as error:
        raise InvalidSearch(f"that is too long: {error}") from None


def reads_back(said: Said) -> bool:
    """Whether the text of reports is read for the last READ_BACK seconds only, as no time was said."""
    return bool(said.text) and not said.since and not said.parent


def moment(said: str, clock: Clock) -> int:
    """Microseconds since 1970 of "2h" (so long ago) or "2026-01-31 09:00" (local, if it names no zone).

    Raises InvalidSearch.
    """
    try:
        if _SPAN.fullmatch(said):
            return clock.micros() - int(durations.duration(said.replace("min", "m")) * 1e6)
        at = datetime.fromisoformat(said)
        edge = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=1)
        return to_micros(max(at.astimezone() if at.tzinfo is None else at, edge))
    except (ValueError, OverflowError):
        raise InvalidSearch(f"{said[:80]!r} is no time; write e.g. 2h (so long ago) or 2026-01-31 09:00") from None
