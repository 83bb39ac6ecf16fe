"""One new task by one statement, where broker and task log stand on a database that can do it (PostgreSQL).

Entry, message, counts and the wake-up are stored together or not at all (P1), in one journey to the server instead of
seven. What has more to it (a delay, a key, a parent, a transaction that is joined) goes the common way.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol, Self, runtime_checkable

import sqlalchemy as sa

from taskqueue.database.engine import Database
from taskqueue.message import Message
from taskqueue.tasklog.entry import Entry


@runtime_checkable
class Adding(Protocol):
    """A task log that can be part of such a statement."""

    def adding(self, columns: tuple[str, ...]) -> tuple[sa.CTE, sa.CTE]:
        """The new entry, with a row if it is new, and its count; these columns of it are not NULL."""

    def added(self, entry: Entry) -> dict[str, Any]:
        """The parameters: the columns that are not NULL."""


@runtime_checkable
class Pushing(Protocol):
    """A broker that can."""

    def pushing(self, stored: sa.CTE) -> tuple[sa.CTE, sa.CTE]:
        """The message, if `stored` has a row, and its count."""

    def pushed(self, message: Message) -> dict[str, Any]:
        """The parameters."""


class AtOnce:
    """Enqueues into one queue."""

    def __init__(self, database: Database, task_log: Adding, broker: Pushing, queue: str) -> None:
        self._database, self._task_log, self._broker, self._queue = database, task_log, broker, queue
        self._statement = cache(self._made)

    @classmethod
    def of(cls, database: Database | None, task_log: object, broker: object, queue: str) -> Self | None:
        """None where it cannot be done."""
        if database is None or database.dialect.new_id is None:
            return None
        if not (isinstance(task_log, Adding) and isinstance(broker, Pushing)):
            return None
        return cls(database, task_log, broker, queue)

    def takes(self, entry: Entry, message: Message) -> bool:
        """Whether that task is as simple as that, and this thread has no transaction open that it would be part of."""
        simple = message.delay <= 0 and entry.unique_key is None and entry.group_name is None
        return simple and not self._database.in_transaction

    def enqueue(self, entry: Entry, message: Message) -> list[str]:
        """Store it; its id, if it was new."""
        wakeup, values = self._database.wakeup, self._task_log.added(entry)
        telling = wakeup.is_due(self._queue)
        statement = self._statement(tuple(values), telling=telling)
        stored = self._database.rows(statement, values | self._broker.pushed(message) | {"told": self._queue})
        if stored and telling:
            wakeup.told(self._queue)
        return [entry.id] if stored else []

    def _made(self, columns: tuple[str, ...], *, telling: bool) -> sa.Select[Any]:
        stored, counted = self._task_log.adding(columns)
        message, waiting = self._broker.pushing(stored)
        notification = self._database.wakeup.notification
        shown = [notification] if telling and notification is not None else [sa.literal_column("1")]
        return sa.select(*shown).select_from(stored).add_cte(counted, message, waiting)
