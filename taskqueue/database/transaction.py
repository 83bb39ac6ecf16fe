"""A write transaction, as `Database.begin()` hands it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import sqlalchemy as sa

from taskqueue.database.direct import Direct, Row, Through, Values
from taskqueue.database.schema import Tables
from taskqueue.errors import TaskQueueError

#: the columns of a count, and how many one statement writes
COUNTED, MOST_COUNTS = ("queue", "what", "delta"), 20
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


class Transaction:
    """All that one step writes. It is committed whole or not at all, by whoever began it."""

    def __init__(self, connection: sa.Connection, tables: Tables, way: Through, *, joined: bool = False) -> None:
        self.connection = connection
        #: it is a part of the application's own, which nobody knows the end of
        self.joined = joined
        self.callbacks: list[Callable[[], None]] = []
        self._way = way
        self._tables = tables
        self._deltas: Counter[tuple[str, str]] = Counter()
        self._last: dict[str, Callable[[], None]] = {}
        self._broken: BaseException | None = None

    def execute(self, statement: sa.Executable, parameters: Parameters = None) -> sa.CursorResult[Any]:
        """Run one statement; with a list of parameters, once for each."""
        return self.connection.execute(statement, parameters)

    def rows(self, statement: sa.Executable, values: Values) -> Sequence[Row]:
        """The rows of a statement that is kept and run often (`taskqueue.database.direct`)."""
        return self._way.rows(self.connection, statement, values)

    def run(self, statement: sa.Executable, values: Values) -> int:
        """Run such a statement; how many rows were concerned."""
        return self._way.run(self.connection, statement, values)

    def run_each(self, statement: sa.Executable, values: Sequence[Values]) -> int:
        """Run such a statement once for each of these values."""
        return self._way.run_each(self.connection, statement, values)

    def driver(self, text: str) -> AbstractContextManager[Any]:
        """A cursor of the driver's own for what is called `text`; not inside of an application's transaction."""
        assert isinstance(self._way, Direct)
        return self._way.driver(self.connection, text)

    def count(self, queue: str, what: str, delta: int) -> None:
        """Change a count by `delta` (`taskqueue.database.tally`); written once, at the end."""
        self._deltas[queue, what] += delta

    def before_commit(self, name: str, callback: Callable[[], None]) -> None:
        """Run `callback` as the last of this step; one of each name."""
        self._last[name] = callback

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Run `callback` once all this is committed, outside of any transaction; never if it is rolled back.

        It must not fail: what was committed cannot be taken back.
        """
        self.callbacks.append(callback)

    @contextmanager
    def part(self) -> Iterator[Transaction]:
        """A step within the step. If it fails, the whole cannot be committed any more, even if the error is caught."""
        try:
            yield self
        except BaseException as error:
            self._broken = self._broken or error
            raise

    def settle(self) -> None:
        """Write the counts: the last thing before the commit."""
        if self._broken:
            raise TaskQueueError("a part of this step failed, so all of it was rolled back") from self._broken
        rows = [(queue, what, delta) for (queue, what), delta in self._deltas.items() if delta]
        self._deltas.clear()
        for start in range(0, len(rows), MOST_COUNTS):
            self._write_counts(rows[start : start + MOST_COUNTS])
        for callback in self._last.values():
            callback()
        self._last.clear()

    def _write_counts(self, rows: Sequence[tuple[str, str, int]]) -> None:
        given = {f"{name}_{n}": value for n, row in enumerate(rows) for name, value in zip(COUNTED, row, strict=True)}
        self.run(_counts(self._tables.tally, len(rows)), given)


@cache
def _counts(table: sa.Table, n: int) -> sa.Insert:
    """So many counts in one statement, which no driver makes of a list."""
    return sa.insert(table).values([{name: sa.bindparam(f"{name}_{row}") for name in COUNTED} for row in range(n)])
