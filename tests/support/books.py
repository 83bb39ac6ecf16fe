"""What the stores of an application say in the end: its task log, and the rows of its tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from taskqueue.app import App
from taskqueue.database.engine import Database
from taskqueue.tasklog.entry import Attempt, Cause, Search
from tests.support.ledger import Books

#: tables that are empty once nothing is enqueued and no worker lives
HANDS = ("message", "delayed", "lease")


def read(app: App, *, workers: bool = False) -> Books:
    """Everything that is there. `workers`: some live still, and may be registered."""
    database = next(iter(app.queues.values())).log_database
    assert database is not None
    return Books(
        entries={entry.id: entry for entry in app.task_log.each(Search(limit=1000))},
        attempts=_attempts(database),
        counted=app.task_log.stats(),
        left=[*_left(app, workers=workers)],
    )


def nothing_in_hand(app: App) -> bool:
    """No message waits and none is held: what SQS brings a second time is gone, too."""
    # Twice: a message whose lease at SQS ends at this moment may be counted neither as held nor as waiting.
    return not any(any(_left(app, workers=True)) for _ in range(2))


def _attempts(database: Database) -> dict[str, list[Attempt]]:
    found: defaultdict[str, list[Attempt]] = defaultdict(list)
    attempt = database.tables.attempt
    for row in _rows(database, sa.select(attempt).order_by(attempt.c.task_id, attempt.c.fence)):
        values = row._asdict()
        found[values["task_id"]].append(Attempt(**values | {"cause": Cause(values["cause"])}))
    return dict(found)


def _left(app: App, *, workers: bool) -> Iterator[str]:
    for queue in app.queues.values():
        if depth := queue.broker.depth().total:
            yield f"queue {queue.name!r} holds {depth} messages"
    databases = {
        id(database): database for database in (*(q.log_database for q in app.queues.values()), *app.registers)
    }
    for database in databases.values():
        assert database is not None
        found = {name: _rows(database, sa.select(getattr(database.tables, name))) for name in HANDS}
        if not workers:
            found["worker"] = _workers(database)
        yield from (f"left in {table}: {row}" for table, rows in found.items() for row in rows)


def registered(app: App) -> list[int]:
    """The processes of all workers that are registered, be they alive or not."""
    return sorted(row.pid for database in app.registers for row in _workers(database))


def _workers(database: Database) -> list[sa.Row[Any]]:
    # A keeper holds nothing: what is left of one that was killed goes with the end of its lease.
    worker = database.tables.worker
    return _rows(database, sa.select(worker).where(worker.c.kind != "keeper"))


def _rows(database: Database, statement: sa.Select[Any]) -> list[sa.Row[Any]]:
    with database.read() as connection:
        return list(connection.execute(statement))
