"""A checked search as SQL that reads an index in its own order, so that a page costs the same at any size.

The index to read by is that of an exact parent, owner or name, if the search has one, else that of the status, else
that of the sort order. Where the status is part of the index, each status is an arm of a UNION ALL, which databases
merge in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from taskqueue.database.dialects import Dialect
from taskqueue.ids import earliest
from taskqueue.status import Status
from taskqueue.tasklog.entry import Filter, Op
from taskqueue.tasklog.query import Query
from taskqueue.tasklog.statements import LISTED

MINUTE = 60_000_000


def page(query: Query, entry: sa.Table, dialect: Dialect) -> sa.Executable:
    """The statement that reads that page and, if there is one, the first entry of the next: columns as in LISTED."""
    arms = _arms(query, entry, dialect)
    # One statement even for several statuses, so that an entry which moves meanwhile is seen once and not missed.
    found = arms[0] if len(arms) == 1 else sa.union_all(*arms)
    keys = dict.fromkeys((query.sort, "id"))
    columns: Any = found.selected_columns
    by = (columns[key].desc() if query.descending else columns[key] for key in keys)
    return found.order_by(*by).limit(query.limit + 1)


def _arms(query: Query, entry: sa.Table, dialect: Dialect) -> list[sa.Select[Any]]:
    found, status = _found(query, entry, dialect), entry.c.status
    exact = {f.column for f in query.filters if f.op is Op.EQ and f.value is not None}
    if "parent_id" in exact and query.statuses != ():
        statuses = query.statuses or tuple(Status)
        return [found.where(status == int(one)) for one in statuses]
    if query.statuses is None:
        return [found]
    if not query.statuses or exact & {"owner", "name"} or query.sort in ("owner", "name"):
        # An expression and not the bare column: the index of the status would be the wrong one to read by.
        return [found.where((status + 0).in_([int(one) for one in query.statuses]))]
    return [found.where(status == int(one)) for one in query.statuses]


def _found(query: Query, entry: sa.Table, dialect: Dialect) -> sa.Select[Any]:
    c: Any = entry.c
    statement = sa.select(*(c[field] for field in LISTED)).where(*_conditions(query.filters, c, dialect))
    if query.sort == "owner":
        statement = statement.where(c.owner.is_not(None))
    if query.after is None:
        return statement
    keys = [c.id] if query.sort == "id" else [c[query.sort], c.id]
    place, seen = sa.tuple_(*keys), sa.tuple_(*map(sa.literal, query.after[-len(keys) :]))
    return statement.where(place < seen if query.descending else place > seen)


def _conditions(filters: Iterable[Filter], c: Any, dialect: Dialect) -> list[sa.ColumnElement[bool]]:
    return [condition for f in filters for condition in _condition(f, c, dialect)]


def _condition(f: Filter, c: Any, dialect: Dialect) -> list[sa.ColumnElement[bool]]:
    column = dialect.text_of(c.report) if f.column == "report" else c[f.column]
    value = _wide(f.value)
    match f.op:
        case Op.EQ:
            return [column.is_(None) if value is None else column == value]
        case Op.NE:
            return [column.is_not(None) if value is None else column.is_distinct_from(value)]
        case Op.LIKE:
            return [column.ilike(f.value, escape="\\")]
        case Op.IN:
            return [column.in_([_wide(one) for one in sorted(f.value)])]
        case Op.LT:
            return [column < value, *_made_before(f, c)]
        case Op.LE:
            return [column <= value, *_made_before(f, c)]
        case Op.GT:
            return [column > value]
        case Op.GE:
            return [column >= value]


def _wide(value: Any) -> Any:
    """A number as the widest that there is: it need not fit its column to be compared with it."""
    return sa.literal(value, sa.BigInteger()) if type(value) is int else value


def _made_before(f: Filter, c: Any) -> list[sa.ColumnElement[bool]]:
    """What was created by then has an id from before then: the walk may begin there and not at the newest."""
    return [c.id < earliest(f.value + MINUTE)] if f.column == "created_at" else []
