"""Who may claim: one row a life of a worker process (R1, R2), and the queues that a person has paused.

An incarnation's lease says how long it is taken for alive without a word of its own. Whoever declares it dead removes
its row first; from then on its claims are refused, so that what it held can be given back.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from taskqueue.database.engine import Database

RUNNING, LEAVING = "running", "leaving"


class Incarnation(msgspec.Struct, frozen=True, kw_only=True):
    """One life of one worker process. `started_at` is in microseconds since 1970, `lease` what is left, in seconds."""

    id: str
    slot: str
    host: str
    pid: int
    kind: str
    queues: tuple[str, ...]
    state: str
    started_at: int
    lease: float


def register(
    database: Database,
    incarnation: str,
    *,
    slot: str,
    host: str,
    pid: int,
    kind: str,
    queues: Sequence[str],
    lease: float,
) -> None:
    """Let it claim, and take it for alive for `lease` seconds. Repeating it is harmless."""
    row = {
        "id": incarnation,
        "slot": slot,
        "host": host,
        "pid": pid,
        "kind": kind,
        "queues": msgspec.json.encode(list(queues)).decode(),
        "state": RUNNING,
        "started_at": database.clock.micros(),
    }

    def step() -> None:
        with database.begin() as tx:
            until = _end(database, tx.connection, lease)
            tx.execute(database.dialect.insert_new(database.tables.worker), row | {"lease_until": until})

    database.turn(step)


def renew(database: Database, incarnation: str, *, lease: float) -> bool:
    """Take it for alive for `lease` seconds from now; False if it has been declared dead (it must leave)."""
    worker = database.tables.worker
    statement = sa.update(worker).where(worker.c.id == sa.bindparam("of"))

    def step() -> bool:
        with database.begin() as tx:
            until = _end(database, tx.connection, lease)
            return tx.execute(statement.values(lease_until=until), {"of": incarnation}).rowcount > 0

    return database.turn(step)


def leaving(database: Database, incarnation: str) -> None:
    """Note that it takes nothing new."""
    worker = database.tables.worker

    def step() -> None:
        with database.begin() as tx:
            tx.execute(sa.update(worker).where(worker.c.id == incarnation).values(state=LEAVING))

    database.turn(step)


def remove(database: Database, incarnations: Sequence[str]) -> set[str]:
    """Refuse their claims from now on; those that were registered. Waits for claims that are under way (R1)."""
    worker = database.tables.worker.c
    these = database.dialect.ids_in(worker.id, "ids")
    parameters = {"ids": list(incarnations)}

    def step() -> set[str]:
        with database.begin() as tx:
            there = sa.select(worker.id).where(these).order_by(worker.id).with_for_update()
            known = set(tx.execute(there, parameters).scalars())
            tx.execute(sa.delete(database.tables.worker).where(these), parameters)
            return known

    return database.turn(step) if incarnations else set()


def strike_off(database: Database) -> list[str]:
    """Remove those whose lease has ended and who hold nothing; who they were.

    Nobody else would: their host never came back. One that lives hears of it when it claims or is renewed, and begins
    again. Who holds something stays until that is given back: a queue's leases may be longer than its own.
    """
    late = expired(database)
    worker, lease = database.tables.worker.c, database.tables.lease.c
    parameters = {"ids": late}

    def step() -> list[str]:
        with database.begin() as tx:
            # Locked first, which waits for claims that are under way, and only then asked what they hold (R1).
            still = database.dialect.ids_in(worker.id, "ids") & (
                worker.lease_until < database.dialect.lease_now(tx.connection)
            )
            there = sa.select(worker.id).where(still).order_by(worker.id).with_for_update()
            gone = set(tx.execute(there, parameters).scalars())
            holding = sa.select(lease.owner).where(database.dialect.ids_in(lease.owner, "ids"))
            gone -= set(tx.execute(holding, parameters).scalars())
            return sorted(remove(database, sorted(gone)))

    return database.turn(step) if late else []


def alive(database: Database) -> list[Incarnation]:
    """Those whose lease has not ended, oldest first."""
    return [worker for worker in _rows(database) if worker.lease >= 0]


def expired(database: Database) -> list[str]:
    """Those whose lease has ended: dead, or cut off for too long."""
    return [worker.id for worker in _rows(database) if worker.lease < 0]


def peers(database: Database, queue: str) -> int:
    """How many living workers take tasks of that queue."""
    return sum(1 for worker in alive(database) if queue in worker.queues and worker.state == RUNNING)


def paused_queues(database: Database) -> set[str]:
    """Names of the queues that are paused for the whole fleet (P6)."""
    queue = database.tables.queue.c
    with database.read() as connection:
        return set(connection.execute(sa.select(queue.name).where(queue.paused_at.is_not(None))).scalars())


def _end(database: Database, connection: sa.Connection, lease: float) -> int:
    return database.dialect.lease_now(connection) + int(lease * 1e6)


def _rows(database: Database) -> list[Incarnation]:
    worker = database.tables.worker
    with database.read() as connection:
        now = database.dialect.lease_now(connection)
        rows = connection.execute(sa.select(worker).order_by(worker.c.started_at, worker.c.id)).mappings()
        return [_incarnation(row, now) for row in rows]


def _incarnation(row: sa.RowMapping, now: int) -> Incarnation:
    values = {name: value for name, value in row.items() if name in Incarnation.__struct_fields__}
    values["queues"] = tuple(msgspec.json.decode(row["queues"]))
    return Incarnation(**values, lease=(row["lease_until"] - now) / 1e6)
