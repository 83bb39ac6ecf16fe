"""Counts as deltas: every transaction adds rows, a reader sums them, the keeper folds them.

So two transactions never wait for each other over a count, and counting never scans what is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from taskqueue.database.engine import Database

_Rows = sa.Select[Any]


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
    # Where there are more keys than `limit`, the oldest rows may have nothing in common: then what has comes first.
    for chosen in (_oldest(database, limit), _repeated(database, limit)):
        with database.read() as connection:
            worth_it = _gain(connection.execute(chosen).all()) > 0
        if worth_it:
            return _replace(database, chosen)
    return 0


def fold_all(database: Database, *, limit: int = 2000) -> None:
    """Fold, a transaction at a time, until little is left: busy queues write more between two rounds than one takes."""
    while fold(database, limit=limit) > limit // 2:
        pass


def _oldest(database: Database, limit: int) -> _Rows:
    t = database.tables.tally.c
    return sa.select(t.id, t.queue, t.what, t.delta).order_by(t.id).limit(limit)


def _repeated(database: Database, limit: int) -> _Rows:
    t = database.tables.tally.c
    keys = sa.select(t.queue, t.what).group_by(t.queue, t.what).having(sa.func.count() > 1)
    several = sa.tuple_(t.queue, t.what).in_(keys)
    return sa.select(t.id, t.queue, t.what, t.delta).where(several).order_by(t.queue, t.what, t.id).limit(limit)


def _replace(database: Database, chosen: _Rows) -> int:
    table = database.tables.tally
    these = database.dialect.ids_in(table.c.id, "ids")
    with database.begin() as transaction:
        rows = transaction.execute(chosen.with_for_update(skip_locked=True)).all()
        transaction.execute(sa.delete(table).where(these), {"ids": [row.id for row in rows]})
        for row in rows:
            transaction.count(row.queue, row.what, row.delta)
    return _gain(rows)


def _gain(rows: Sequence[Any]) -> int:
    folded: Counter[tuple[str, str]] = Counter()
    for row in rows:
        folded[row.queue, row.what] += row.delta
    return len(rows) - sum(1 for total in folded.values() if total)
