"""Counts as deltas: every transaction adds rows, a reader sums them, the keeper folds them.

So two transactions never wait for each other over a count, and counting never scans what is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from taskqueue.database.engine import Database


def sums(database: Database, queue: str | None = None) -> dict[tuple[str, str], int]:
    """What there is, by (queue, what); of one queue or of all."""
    tally = database.tables.tally.c
    statement = sa.select(tally.queue, tally.what, sa.func.sum(tally.delta)).group_by(tally.queue, tally.what)
    if queue is not None:
        statement = statement.where(tally.queue == queue)
    with database.read() as connection:
        return {(name, what): int(total) for name, what, total in connection.execute(statement)}


def fold(database: Database, *, limit: int = 2000) -> int:
    """Replace up to `limit` of the oldest rows by one a key, in one transaction; by how many rows there are fewer.

    The sums stay the same at every moment, and any number of keepers may fold at once.
    """
    table = database.tables.tally
    t = table.c
    oldest = sa.select(t.id, t.queue, t.what, t.delta).order_by(t.id).limit(limit)
    with database.read() as connection:
        if _gain(connection.execute(oldest).all()) == 0:
            return 0
    with database.begin() as transaction:
        rows = transaction.execute(oldest.with_for_update(skip_locked=True)).all()
        transaction.execute(sa.delete(table).where(database.dialect.ids_in(t.id, "ids")), {"ids": [r.id for r in rows]})
        for row in rows:
            transaction.count(row.queue, row.what, row.delta)
    return _gain(rows)


def _gain(rows: Sequence[Any]) -> int:
    folded: Counter[tuple[str, str]] = Counter()
    for row in rows:
        folded[row.queue, row.what] += row.delta
    return len(rows) - sum(1 for total in folded.values() if total)
