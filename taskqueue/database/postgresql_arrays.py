"""Lists as parameters of PostgreSQL: one text each, an array's literal, which its server reads in C.

The driver builds an array value by value; for the ids of a turn that took longer than all else it does. The form is
that of "Array Value Input" in PostgreSQL's manual (8.15.6).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

#: ids as we make them, which need no quotes
_IDS = re.compile(r"[0-9a-f-]{36}(?:,[0-9a-f-]{36})*")


class ArrayLiteral(sa.types.UserDefinedType[Any]):
    """A list, sent as the literal of an array whose members have the type `member`."""

    cache_ok = True
    # So that the server takes the text for an array at once. A conversion in the statement would be no constant to its
    # planner, and be made again for each row of a scan.
    render_bind_cast = True

    def __init__(self, member: sa.types.TypeEngine[Any]) -> None:
        self.member = member

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in SQL."""
        return f"{self.member.compile(dialect=postgresql.dialect())}[]"  # type: ignore[no-untyped-call]  # SQLAlchemy says nothing of it

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[Any], str]:
        """What makes a literal of a list."""
        return _literal_of(self.member)


class Place(sa.types.UserDefinedType[str]):
    """Where a row lies: "(0,1)" (PostgreSQL's manual, 5.5, System Columns)."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in SQL."""
        return "tid"


def array(bind: str, kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    """The parameter of that name, a list of what a column of this kind takes, as an array."""
    # Text and not the column's own type, which would cut off what is longer.
    member = sa.Text() if isinstance(kind, sa.String) else kind
    return sa.bindparam(bind, type_=ArrayLiteral(member))


def update_each(table: sa.Table, columns: Iterable[str]) -> sa.Update:
    """Set these columns of many rows by one statement.

    Of the row whose key is a member of the list `of`, to the members at the same place of the lists that have the
    columns' names.
    """
    (key,) = table.primary_key
    rows = unnested("given", {"of": key.type, **{name: table.c[name].type for name in columns}})
    values = {name: rows.c[name] for name in columns}
    return sa.update(table).where(key == rows.c.of).values(values)


def unnested(name: str, kinds: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.TableValuedAlias:
    """Rows of the lists that are the parameters of these names, which its columns have too."""
    given = sa.func.unnest(*[array(column, kind) for column, kind in kinds.items()])
    columns = [sa.column(column, kind) for column, kind in kinds.items()]
    return given.table_valued(*columns, name=name).render_derived()


def _literal_of(member: sa.types.TypeEngine[Any]) -> Callable[[Sequence[Any]], str]:
    if isinstance(member, sa.Integer):
        return _numbers
    return _bytes if isinstance(member, sa.LargeBinary) else _texts


def _numbers(values: Sequence[int | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def _bytes(values: Sequence[bytes | None]) -> str:
    # The backslash of "\x" is one of the array's too, where it stands for the character behind it.
    return "{" + ",".join(["NULL" if value is None else f"\\\\x{value.hex()}" for value in values]) + "}"


def _texts(values: Sequence[str | None]) -> str:
    plain = ",".join([value or "" for value in values])
    if _IDS.fullmatch(plain) and plain.count(",") == len(values) - 1:
        return f"{{{plain}}}"
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
