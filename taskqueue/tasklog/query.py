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
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from taskqueue.errors import InvalidSearch, did_you_mean
from taskqueue.ids import is_id
from taskqueue.status import Status
from taskqueue.tasklog.entry import COLUMNS, MAX_PAGE, SORTS, Entry, Filter, Op, Search
from taskqueue.visible import is_storable

NULLABLE = frozenset({"label", "owner", "category", "parent_id", "retry_of", "worker", "started_at", "finished_at"})
#: the largest number of a column, and the characters of a refused value that are shown
LARGEST, SHOWN = 2**63 - 1, 80
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


def wildcard(column: str, text: str) -> Filter:
    """What people type of a column's text: `*` stands for any text, and everything else for itself."""
    if "*" not in text:
        return Filter(column, Op.EQ, text)
    return Filter(column, Op.LIKE, escaped(text).replace("*", "%"))


def escaped(text: str) -> str:
    """`text` in a `like` pattern, standing for itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def check(search: Search) -> Query:
    """The search as a query; InvalidSearch says in one line what is wrong and what would be right."""
    _known(search.sort, SORTS, "sort order")
    if type(search.limit) is not int or not 1 <= search.limit <= MAX_PAGE:
        raise InvalidSearch(
            f"limit {_short(search.limit)}: a page holds 1 to {MAX_PAGE:,} entries; ask for the next page"
        )
    checked = [_checked(condition) for condition in search.filters]
    filters = tuple(f for f in checked if f.column != "status")
    if search.owner is not None:
        filters += (_checked(Filter("owner", Op.EQ, search.owner)),)
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
    _known(column, COLUMNS, "column")
    _known(condition.op, [op.value for op in Op], "comparison")
    op, wanted = Op(condition.op), COLUMNS[column]
    if op is Op.LIKE and (wanted is not str or str(value).replace("\\\\", "").endswith("\\")):
        raise InvalidSearch(
            f"{column} like {_short(value)}: takes columns of text, and patterns that end in no lone backslash"
        )
    if value is None and op in (Op.EQ, Op.NE) and column in NULLABLE:
        return Filter(column, op, value)
    for one in _list(column, value) if op is Op.IN else [value]:
        if type(one) is not wanted:
            raise InvalidSearch(f"{column} {op}: {_short(one)} is a {type(one).__name__}, not a {wanted.__name__}")
        _refuse_unstorable(f"{column} {op}", one)
    return Filter(column, op, value)


def _refuse_unstorable(where: str, value: Any) -> None:
    """What no column holds: databases do not find nothing then, each fails in a way of its own."""
    if isinstance(value, str) and not is_storable(value):
        raise InvalidSearch(f"{where}: {_short(value)} has a character that no text holds (NUL, or half of a pair)")
    if isinstance(value, int) and not -LARGEST - 1 <= value <= LARGEST:
        raise InvalidSearch(f"{where}: {_short(value)} is more than any number there; 64 bits are the most")


def _list(column: str, value: object) -> list[Any]:
    if not isinstance(value, list | tuple | set | frozenset):
        raise InvalidSearch(f"{column} in: {_short(value)} is no list")
    if len(value) > MAX_PAGE:
        raise InvalidSearch(f"{column} in: {len(value):,} values; {MAX_PAGE:,} at the most, ask in several searches")
    return list(value)


def _known(word: object, known: Iterable[str], what: str) -> None:
    words = list(known)
    if not isinstance(word, str) or word not in words:
        hint = did_you_mean(word[:SHOWN] if isinstance(word, str) else "", words) or f"; known: {', '.join(words)}"
        raise InvalidSearch(f"unknown {what} {_short(word)}{hint}")


def _short(value: object) -> str:
    try:
        shown = ascii(value) if isinstance(value, str) and not value.isprintable() else f"{value!r}"
    except ValueError:  # a number of too many digits for Python to write out
        shown = "a number"
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."


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
