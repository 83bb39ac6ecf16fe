"""Our own statements, given to the driver directly: compiled once by SQLAlchemy, their rows plain tuples.

What SQLAlchemy does anew for each execution takes two to four times what the driver itself does, and a worker's turn
has a dozen statements. Only what is ours goes this way, on connections of ours: an application's own connection, which
may be an asynchronous one and has its listeners, is used through SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, NoReturn

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

Row = Sequence[Any]
Values = Mapping[str, Any]


class _Compiled(msgspec.Struct, frozen=True):
    """A statement's text, and what makes the driver's parameters of the values."""

    text: str
    bound: Callable[[Values], Any]


class Through:
    """Runs statements through SQLAlchemy: on any connection, whatever their text depends on."""

    def rows(self, connection: sa.Connection, statement: sa.Executable, values: Values) -> Sequence[Row]:
        """Run it once; its rows."""
        return connection.execute(statement, values).all()

    def run(self, connection: sa.Connection, statement: sa.Executable, values: Values) -> int:
        """Run it once; how many rows were concerned."""
        return self._counted(connection, statement, values)

    def run_each(self, connection: sa.Connection, statement: sa.Executable, values: Sequence[Values]) -> int:
        """Run it once for each of these, which have the same names; how many rows were concerned."""
        return self._counted(connection, statement, values)

    def _counted(self, connection: sa.Connection, statement: sa.Executable, values: Values | Sequence[Values]) -> int:
        return connection.execute(statement, values, execution_options={"preserve_rowcount": True}).rowcount


THROUGH = Through()


class Direct(Through):
    """The same for one database, by its driver. Each statement is kept for ever: give it none built for one use.

    `ends_session` says whether an error of the driver, beyond those that SQLAlchemy knows, ends the connection.
    """

    def __init__(self, ends_session: Callable[[BaseException], bool]) -> None:
        self._ends_session = ends_session
        self._known: dict[tuple[sa.Executable, tuple[str, ...]], _Compiled | None] = {}

    def rows(self, connection: sa.Connection, statement: sa.Executable, values: Values) -> Sequence[Row]:
        compiled = self._compiled(connection, statement, values)
        if compiled is None:
            return super().rows(connection, statement, values)
        with self.driver(connection, compiled.text) as cursor:
            cursor.execute(compiled.text, compiled.bound(values))
            found: Sequence[Row] = cursor.fetchall()
        return found

    def run(self, connection: sa.Connection, statement: sa.Executable, values: Values) -> int:
        compiled = self._compiled(connection, statement, values)
        if compiled is None:
            return super().run(connection, statement, values)
        with self.driver(connection, compiled.text) as cursor:
            cursor.execute(compiled.text, compiled.bound(values))
            count: int = cursor.rowcount
        return count

    def run_each(self, connection: sa.Connection, statement: sa.Executable, values: Sequence[Values]) -> int:
        compiled = self._compiled(connection, statement, values[0])
        if compiled is None:
            return super().run_each(connection, statement, values)
        with self.driver(connection, compiled.text) as cursor:
            cursor.executemany(compiled.text, [compiled.bound(each) for each in values])
            count: int = cursor.rowcount
        return count

    @contextmanager
    def driver(self, connection: sa.Connection, text: str) -> Iterator[Any]:
        """A cursor of the driver's own; what goes wrong with it is raised, and dealt with, as SQLAlchemy would."""
        raw = connection.connection.driver_connection
        assert raw is not None
        cursor = raw.cursor()
        try:
            yield cursor
        except connection.dialect.loaded_dbapi.Error as error:
            self._failed(connection, text, error)
        except BaseException as error:
            # It was interrupted in the middle: nobody knows what the connection is at.
            if not isinstance(error, Exception):
                connection.invalidate(error)
            raise
        cursor.close()

    def _failed(self, connection: sa.Connection, text: str, error: Any) -> NoReturn:
        dialect = connection.dialect
        raw: Any = connection.connection.dbapi_connection
        ended = dialect.is_disconnect(error, raw, None) or self._ends_session(error)
        if ended:
            connection.invalidate(error)
        told = DBAPIError.instance(
            text, None, error, dialect.loaded_dbapi.Error, connection_invalidated=ended, dialect=dialect
        )
        raise told from error

    def _compiled(self, connection: sa.Connection, statement: sa.Executable, values: Values) -> _Compiled | None:
        key = (statement, tuple(values))
        try:
            return self._known[key]
        except KeyError:
            return self._known.setdefault(key, _compile(connection.dialect, statement, list(values)))


def _compile(dialect: sa.Dialect, statement: Any, names: list[str]) -> _Compiled | None:
    """None for a statement whose text depends on the values."""
    writes = isinstance(statement, sa.Insert | sa.Update)
    compiled = statement.compile(dialect=dialect, column_keys=names if writes else None)
    if compiled.post_compile_params or compiled.literal_execute_params:
        return None
    return _Compiled(str(compiled), _binder(dialect, compiled))


def _binder(dialect: sa.Dialect, compiled: Any) -> Callable[[Values], Any]:
    """By position or by name, as the driver wants them; constants filled in, values converted where they must be."""
    by_name = {name: bind for bind, name in compiled.bind_names.items()}
    order: list[str] = list(compiled.positiontup or by_name)
    constants = {name: by_name[name].effective_value for name in order if not by_name[name].required}
    conversions = {name: convert for name in order if (convert := _conversion(by_name[name].type, dialect))}
    constants = {name: conversions.pop(name, _same)(value) for name, value in constants.items()}
    taken = itemgetter(*order) if len(order) > 1 else lambda values: [values[name] for name in order]

    def complete(values: Values) -> Values:
        converted = {name: convert(values[name]) for name, convert in conversions.items()}
        return {**values, **constants, **converted}

    if not (constants or conversions):
        return taken if compiled.positional else _same
    return (lambda values: taken(complete(values))) if compiled.positional else complete


def _conversion(kind: Any, dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    if isinstance(kind, sa.LargeBinary):
        return None  # every driver of ours takes bytes as they are
    convert: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return convert


def _same(value: Any) -> Any:
    return value
