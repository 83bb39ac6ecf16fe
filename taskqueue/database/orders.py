"""Orders to supervisors: left in the store from anywhere, taken once by the host's keeper, and answered by its master.

    waiting -> taken -> done | refused
       |         |
       +----+----+---> lost      nobody took it in time, or who took it gave no answer

Each step is a compare-and-set, so that an order is handed on once at the most, and what is lost stays lost: nobody does
it after somebody was told that it is.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import sqlalchemy as sa

from taskqueue.database.engine import Database
from taskqueue.ids import new_id

#: for how long an order waits to be taken, and then for its answer, in seconds
PATIENCE = 30.0
#: for how long an order that has ended can be asked for, in seconds
REMEMBERED = 86_400.0
NOBODY = "lost: no keeper of that host took it in time, and nothing was done"
NO_ANSWER = "lost: the keeper that took it gave no answer; look whether it was done"
_COLUMNS = ("id", "host", "command", "target", "workers", "said_by", "state", "answer", "created_at", "ended_at")

State = Literal["waiting", "taken", "done", "refused", "lost"]


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order, as it stands. Times are microseconds since 1970 UTC."""

    id: str
    host: str
    command: str
    target: str | None
    workers: int | None
    said_by: str
    state: State
    answer: str
    created_at: int
    ended_at: int | None


def give(
    database: Database,
    host: str,
    command: str,
    *,
    target: str | None,
    workers: int | None,
    by: str,
    patience: float = PATIENCE,
    lost: str = "",
) -> OrderRow:
    """Leave an order for that host, to be taken within `patience` seconds. `lost`: why it is noted as such at once."""
    now = database.clock.micros()
    order = OrderRow(
        id=new_id(),
        host=host,
        command=command,
        target=target,
        workers=workers,
        said_by=by[:255],
        state="lost" if lost else "waiting",
        answer=lost,
        created_at=now,
        ended_at=now if lost else None,
    )

    def step() -> None:
        with database.begin() as tx:
            until = database.dialect.lease_now(tx.connection) + int(patience * 1e6)
            values = msgspec.structs.asdict(order) | {"lease_until": until}
            tx.execute(database.dialect.insert_new(database.tables.order), values)

    database.turn(step)
    return order


def take(database: Database, order_id: str, *, by: str) -> OrderRow | None:
    """Take an order, to do it: nobody else will. None if somebody has, or it is lost."""
    table = database.tables.order

    def step() -> OrderRow | None:
        with database.begin() as tx:
            now = database.dialect.lease_now(tx.connection)
            free = (table.c.id == order_id) & (table.c.state == "waiting") & (table.c.lease_until > now)
            taken = {"state": "taken", "taken_by": by, "lease_until": now + int(PATIENCE * 1e6)}
            if not tx.execute(sa.update(table).where(free).values(taken)).rowcount:
                return None
            return _found(tx.connection, table, order_id)

    return database.turn(step)


def answer(database: Database, order_id: str, *, by: str, state: State, text: str) -> bool:
    """Note what came of an order that `by` took; False if it is lost meanwhile."""
    table = database.tables.order
    ours = (table.c.id == order_id) & (table.c.state == "taken") & (table.c.taken_by == by)
    values = {"state": state, "answer": text, "ended_at": database.clock.micros()}

    def step() -> bool:
        with database.begin() as tx:
            return tx.execute(sa.update(table).where(ours).values(values)).rowcount > 0

    return database.turn(step)


def get(database: Database, order_id: str) -> OrderRow | None:
    """The order as it stands now; None if there is none (any more)."""
    with database.read() as connection:
        late = _late(database, connection, order_id)
    if late:
        settle(database)
    with database.read() as connection:
        return _found(connection, database.tables.order, order_id)


def latest(database: Database, *, limit: int) -> list[OrderRow]:
    """The newest orders, newest first."""
    settle(database)
    table = database.tables.order
    with database.read() as connection:
        newest = sa.select(table).order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)
        return [_order(row) for row in connection.execute(newest).mappings()]


def settle(database: Database) -> None:
    """Note those as lost that nobody took, or answered, in time."""
    table = database.tables.order
    with database.read() as connection:
        if not _late(database, connection):
            return

    def step() -> None:
        with database.begin() as tx:
            now = database.dialect.lease_now(tx.connection)
            for state, why in (("waiting", NOBODY), ("taken", NO_ANSWER)):
                late = (table.c.state == state) & (table.c.lease_until <= now)
                values = {"state": "lost", "answer": why, "ended_at": database.clock.micros()}
                tx.execute(sa.update(table).where(late).values(values))

    database.turn(step)


def forget(database: Database) -> None:
    """Remove those that ended more than a day ago."""
    table = database.tables.order
    old = table.c.ended_at < database.clock.micros() - int(REMEMBERED * 1e6)
    with database.read() as connection:
        if connection.execute(sa.select(table.c.id).where(old).limit(1)).first() is None:
            return

    def step() -> None:
        with database.begin() as tx:
            tx.execute(sa.delete(table).where(old))

    database.turn(step)


def _late(database: Database, connection: sa.Connection, order_id: str | None = None) -> bool:
    table = database.tables.order
    late = table.c.state.in_(("waiting", "taken")) & (table.c.lease_until <= database.dialect.lease_now(connection))
    if order_id is not None:
        late &= table.c.id == order_id
    return connection.execute(sa.select(table.c.id).where(late).limit(1)).first() is not None


def _found(connection: sa.Connection, table: sa.Table, order_id: str) -> OrderRow | None:
    row = connection.execute(sa.select(table).where(table.c.id == order_id)).mappings().first()
    return _order(row) if row is not None else None


def _order(row: sa.RowMapping) -> OrderRow:
    return OrderRow(**{name: row[name] for name in _COLUMNS})
