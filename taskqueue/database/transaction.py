"""A write transaction, as `Database.begin()` hands it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from taskqueue.database.schema import Tables
from taskqueue.errors import TaskQueueError

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


class Transaction:
    """All that one step writes. It is committed whole or not at all, by whoever began it."""

    def __init__(self, connection: sa.Connection, tables: Tables, *, joined: bool = False) -> None:
        self.connection = connection
        #: it is a part of the application's own, which nobody knows the end of
        self.joined = joined
        self.callbacks: list[Callable[[], None]] = []
        self._count = sa.insert(tables.tally)
        self._deltas: Counter[tuple[str, str]] = Counter()
        self._last: dict[str, Callable[[], None]] = {}
        self._broken: BaseException | None = None

    def execute(self, statement: sa.Executable, parameters: Parameters = None) -> sa.CursorResult[Any]:
        """Run one statement; with a list of parameters, once for each."""
        return self.connection.execute(statement, parameters)

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
        rows = [{"queue": q, "what": w, "delta": d} for (q, w), d in self._deltas.items() if d]
        self._deltas.clear()
        if rows:
            self.connection.execute(self._count, rows)
        for callback in self._last.values():
            callback()
        self._last.clear()
