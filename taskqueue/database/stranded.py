"""Entries and messages that do not belong together any more: tasks that nobody would ever work on.

On one database entry and message are written together, so that there should be none; what a restored backup, a row
deleted by hand or a defect leaves behind is found here. Each question is one statement, which sees one moment.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from taskqueue.database.engine import Database
from taskqueue.status import HELD, OPEN, Status


class Reason(enum.StrEnum):
    """Why nobody would work on a task."""

    LEASE_ENDED = "its lease has ended"
    NO_WORKER = "its worker is not registered any more"
    NO_LEASE = "no worker holds a lease on it"
    NO_MESSAGE = "its queue has no message of it"
    CHILDREN_ENDED = "all its children have ended"


class Stranded(msgspec.Struct, frozen=True):
    """A task, and why nobody would work on it. `fence` is that of its entry."""

    id: str
    queue: str
    status: Status
    fence: int
    worker: str | None
    reason: Reason


def find(database: Database, queues: Sequence[str], *, limit: int) -> list[Stranded]:
    """Up to `limit` for each reason, of these queues, whose messages stand in the same database as their entries."""
    tables, ids_in = database.tables, database.dialect.ids_in
    entry, lease = tables.entry.c, tables.lease.c
    ours = ids_in(entry.queue, "queues")
    base = sa.select(entry.id, entry.queue, entry.status, entry.fence, entry.worker).where(ours)
    leased = base.join(tables.lease, lease.task_id == entry.id)
    messages = sa.union_all(*(sa.select(t.c.task_id) for t in (tables.message, tables.delayed, tables.lease)))
    child = tables.entry.alias("child")
    open_child = sa.exists().where(child.c.parent_id == entry.id, child.c.status.in_([int(s) for s in OPEN]))
    with database.read() as connection:
        now = database.dialect.lease_now(connection)
        statements = {
            Reason.LEASE_ENDED: leased.where(lease.lease_until < now),
            Reason.NO_WORKER: leased.where(lease.lease_until >= now, lease.owner.not_in(sa.select(tables.worker.c.id))),
            Reason.NO_LEASE: base.where(
                entry.status.in_([int(s) for s in HELD]), entry.id.not_in(sa.select(lease.task_id))
            ),
            Reason.NO_MESSAGE: base.where(entry.status == int(Status.ENQUEUED), entry.id.not_in(messages)),
            Reason.CHILDREN_ENDED: base.where(entry.status == int(Status.CHILD_RUNNING), ~open_child),
        }
        parameters = {"queues": list(queues)}
        return [
            Stranded(row.id, row.queue, Status(row.status), row.fence, row.worker, reason)
            for reason, statement in statements.items()
            for row in connection.execute(statement.order_by(entry.id).limit(limit), parameters)
        ]


def dead_owners(database: Database) -> list[str]:
    """Owners of leases that are not registered any more, or have not been heard of for their lease's length."""
    worker, lease = database.tables.worker.c, database.tables.lease.c
    with database.read() as connection:
        now = database.dialect.lease_now(connection)
        alive = sa.select(worker.id).where(worker.lease_until >= now)
        return list(connection.execute(sa.select(lease.owner).distinct().where(lease.owner.not_in(alive))).scalars())
