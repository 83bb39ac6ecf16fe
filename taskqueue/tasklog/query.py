"""Searches, checked: what comes in from people and programs becomes a `Query` that a store can trust.

Only the columns of `COLUMNS` and the orders of `SORTS` are known. All conditions on the status become one set of
statuses, so that a store can read each status from its index in order and merge them, however the set was described.

In a `like` pattern `%` stands for any text and `_` for any one character; a backslash makes the next character plain.
Upper and lower case of ASCII letters are the same. `ne` includes entries that have no value; `eq` and `ne` take None.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from taskqueue.errors import InvalidSearch, did_you_mean
from taskqueue.ids import is_id
from taskqueue.status import Status
from taskqueue.tasklog.entry import COLUMNS, MAX_PAGE, SORTS, Entry, Filter, Op, Search

NULLABLE = frozenset({"label", "owner", "category", "parent_id", "retry_of", "worker", "started_at", "finished_at"})
COMPARE: dict[Op, Callable[[Any, Any], bool]] = {
    Op.EQ: lambda a, b: a == b,
    Op.NE: lambda a, b: a != b,
    Op.LT: lambda a, b: a < b,
    Op.LE: lambda a, b: a <= b,
    Op.GT: lambda a, b: a > b,
    Op.GE: lambda a, b: a >= b,
    Op.IN: lambda a, b: a in b,
}


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A checked search. `statuses` None means all; `after` is the sort value and id of the last entry seen."""

    statuses: tuple[Status, ...] | None
    filters: tuple[Filter, ...]
    sort: str
    descending: bool
    limit: int
    after: tuple[Any, str] | None
    #: what a cursor must have been made for
    mark: str

    def key(self, entry: Entry) -> tuple[Any, str]:
        """The entry's place in this order."""
        return getattr(entry, self.sort), entry.id

    def cursor(self, last: Entry) -> str:
        """Opaque text that continues behind `last`."""
        body = msgspec.json.encode((self.mark, *self.key(last)))
        return base64.urlsafe_b64encode(_digest(body) + body).decode().rstrip("=")


def check(search: Search) -> Query:
    """The search as a query; InvalidSearch says in one line what is wrong and what would be right."""
    if search.sort not in SORTS:
        raise InvalidSearch(f"unknown sort order {search.sort!r}{_or_known(search.sort, SORTS)}")
    if type(search.limit) is not int or not 1 <= search.limit <= MAX_PAGE:
        raise InvalidSearch(f"limit {search.limit!r}: a page holds 1 to {MAX_PAGE:,} entries; ask for the next page")
    checked = [_checked(condition) for condition in search.filters]
    filters = tuple(f for f in checked if f.column != "status")
    if search.owner is not None:
        filters += (Filter("owner", Op.EQ, search.owner),)
    mark = _digest(repr((checked, search.owner, search.sort, search.descending)).encode()).hex()
    return Query(
        statuses=_statuses([f for f in checked if f.column == "status"]),
        filters=filters,
        sort=SORTS[search.sort],
        descending=search.descending,
        limit=search.limit,
        after=_place(search.after, mark, SORTS[search.sort]) if search.after is not None else None,
        mark=mark,
    )


def _checked(condition: Filter) -> Filter:
    column, value = condition.column, condition.value
    if column not in COLUMNS:
        raise InvalidSearch(f"unknown column {column!r}{_or_known(column, COLUMNS)}")
    if condition.op not in set(Op):
        raise InvalidSearch(f"unknown comparison {condition.op!r}{_or_known(condition.op, [op.value for op in Op])}")
    op, wanted = Op(condition.op), COLUMNS[column]
    if op is Op.LIKE and (wanted is not str or str(value).replace("\\\\", "").endswith("\\")):
        raise InvalidSearch(
            f"{column} like {value!r}: takes columns of text, and patterns that end in no lone backslash"
        )
    if value is None and op in (Op.EQ, Op.NE) and column in NULLABLE:
        return Filter(column, op, value)
    for one in _list(column, value) if op is Op.IN else [value]:
        if type(one) is not wanted:
            raise InvalidSearch(f"{column} {op}: {one!r} is a {type(one).__name__}, not a {wanted.__name__}")
    return Filter(column, op, value)


def _list(column: str, value: object) -> list[Any]:
    if not isinstance(value, list | tuple | set | frozenset):
        raise InvalidSearch(f"{column} in: {value!r} is no list")
    if len(value) > MAX_PAGE:
        raise InvalidSearch(f"{column} in: {len(value):,} values; {MAX_PAGE:,} at the most, ask in several searches")
    return list(value)


def _or_known(word: str, known: Any) -> str:
    return did_you_mean(word, known) or f"; known: {', '.join(known)}"


def _statuses(filters: list[Filter]) -> tuple[Status, ...] | None:
    if not filters:
        return None
    return tuple(s for s in Status if all(COMPARE[f.op](s, f.value) for f in filters))


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=6).digest()


def _place(cursor: str, mark: str, sort: str) -> tuple[Any, str]:
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        if _digest(raw[6:]) == raw[:6]:
            made_for, value, last = msgspec.json.decode(raw[6:], type=tuple[str, str | int, str])
            if made_for == mark and is_id(last) and type(value) is (str if sort != "status" else int):
                return value, last
    except (AttributeError, UnicodeError, binascii.Error, msgspec.DecodeError):
        pass
    raise InvalidSearch("this `after` belongs to another search or is damaged; begin at the first page")
