"""Queues that a person has paused for the whole fleet (P6): one row a queue, read by every worker once a second."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from taskqueue.database.engine import Database


class Pause(msgspec.Struct, frozen=True):
    """Since when (microseconds since 1970 UTC) a queue is paused, and by whom."""

    queue: str
    at: int
    by: str


def pause(database: Database, queue: str, *, by: str) -> bool:
    """Let no worker start a task of that queue; False if it is paused already (the first word stands)."""
    table = database.tables.queue
    switch = sa.update(table).where(table.c.name == queue, table.c.paused_at.is_(None))

    def step() -> bool:
        with database.begin() as tx:
            tx.execute(database.dialect.insert_new(table), {"name": queue})
            return tx.execute(switch.values(paused_at=database.clock.micros(), paused_by=by[:255])).rowcount > 0

    return database.turn(step)


def resume(database: Database, queue: str) -> bool:
    """Let workers start its tasks again; False if it was not paused."""
    table = database.tables.queue
    switch = sa.update(table).where(table.c.name == queue, table.c.paused_at.is_not(None))

    def step() -> bool:
        with database.begin() as tx:
            return tx.execute(switch.values(paused_at=None, paused_by=None)).rowcount > 0

    return database.turn(step)


def paused(database: Database) -> dict[str, Pause]:
    """The queues that are paused, by name."""
    queue = database.tables.queue.c
    statement = sa.select(queue.name, queue.paused_at, queue.paused_by).where(queue.paused_at.is_not(None))
    with database.read() as connection:
        return {name: Pause(name, at, by or "") for name, at, by in connection.execute(statement)}
