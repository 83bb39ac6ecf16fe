"""The tables, one function of (prefix, schema).

    message   what waits, in lanes: (queue, lane, id). Live messages only: claiming moves a row to `lease`.
    lease     what workers hold now; as small as the fleet. `id` is the receipt.
    delayed   what waits for its time.
    worker    one row an incarnation (one life of one worker process): who may claim (R1), and until when it lives.
    queue     fleet-wide switches of a queue: paused, by whom.
    host      what each host's supervisor said last of itself.
    order     what a host's supervisor is told to do from elsewhere, and what came of it.
    entry     the task log.
    attempt   attempts that did not end well.
    tally     counts as deltas: sum them, never count rows; the keeper folds them.
    meta      small facts about the store: boot id, sequences where the database has none.

A lane is 2 * priority + 1; lane 2 * priority holds what came back (R9), so one ascending scan of (lane, id) reads in
order. Every time a message enters `message` it gets a new id, so an id names one stay in the queue and, once leased,
one hand-over.

Times of records are microseconds since 1970 UTC. `lease_until` and `due` are microseconds of the store's own clocks
(`taskqueue.database.dialects`), comparable only with those.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

# Compared and sorted by their bytes, as everywhere else: a language's order would be another one.
TEXT_ID = sa.String(36).with_variant(sa.String(36, collation="C"), "postgresql")
NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
TIME = sa.BigInteger()


class Tables:
    """The tables under one prefix (and, where databases have them, in one schema), as the database of `kind` has them.

    `kind` is what the options of SQLAlchemy's dialect for it begin with: sqlite, postgresql, mysql.
    """

    def __init__(self, prefix: str, schema: str | None, kind: str) -> None:
        self.metadata = sa.MetaData(schema=schema)
        self.prefix = prefix
        self._kind = kind
        blob = _bytes(kind)
        self.message = self._table(
            "message",
            sa.Column("queue", NAME, primary_key=True),
            sa.Column("lane", sa.SmallInteger, primary_key=True, autoincrement=False),
            sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("task_id", TEXT_ID, nullable=False),
            sa.Column("alone", sa.SmallInteger, nullable=False, server_default="0"),
            sa.Column("body", blob, nullable=False),
        )
        self.lease = self._table(
            "lease",
            sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("queue", NAME, nullable=False),
            sa.Column("lane", sa.SmallInteger, nullable=False),
            sa.Column("task_id", TEXT_ID, nullable=False),
            sa.Column("alone", sa.SmallInteger, nullable=False),
            sa.Column("owner", TEXT_ID, nullable=False),
            sa.Column("lease_until", TIME, nullable=False),
            sa.Column("body", blob, nullable=False),
        )
        self.delayed = self._table(
            "delayed",
            sa.Column("queue", NAME, primary_key=True),
            sa.Column("due", TIME, primary_key=True, autoincrement=False),
            sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
            #: the same moment by the wall clock, to re-base `due` after a reboot (SQLite)
            sa.Column("due_wall", TIME, nullable=False),
            sa.Column("lane", sa.SmallInteger, nullable=False),
            sa.Column("task_id", TEXT_ID, nullable=False),
            sa.Column("alone", sa.SmallInteger, nullable=False),
            sa.Column("body", blob, nullable=False),
        )
        self.worker = self._table(
            "worker",
            sa.Column("id", TEXT_ID, primary_key=True),
            #: what people see: host/pool/index, or host:pid of a worker that runs alone
            sa.Column("slot", NAME, nullable=False),
            sa.Column("host", NAME, nullable=False),
            sa.Column("pid", sa.Integer, nullable=False),
            sa.Column("kind", sa.String(16), nullable=False),
            sa.Column("queues", sa.Text, nullable=False),
            sa.Column("state", sa.String(16), nullable=False),
            sa.Column("started_at", TIME, nullable=False),
            sa.Column("lease_until", TIME, nullable=False),
        )
        self.queue = self._table(
            "queue",
            sa.Column("name", NAME, primary_key=True),
            sa.Column("paused_at", TIME),
            sa.Column("paused_by", NAME),
        )
        self.host = self._table(
            "host",
            sa.Column("name", NAME, primary_key=True),
            #: which of the supervisors that may call themselves so: its control socket
            sa.Column("seat", sa.Text, nullable=False),
            #: a `taskqueue.snapshot.Snapshot` as JSON
            sa.Column("snapshot", blob, nullable=False),
            #: by the clock of leases, as `lease_until`
            sa.Column("seen_at", TIME, nullable=False),
            sa.Column("lease_until", TIME, nullable=False),
        )
        self.order = self._table(
            "order",
            sa.Column("id", TEXT_ID, primary_key=True),
            sa.Column("host", NAME, nullable=False),
            sa.Column("command", sa.String(16), nullable=False),
            sa.Column("target", NAME),
            sa.Column("workers", sa.Integer),
            sa.Column("said_by", NAME, nullable=False),
            sa.Column("state", sa.String(16), nullable=False),
            sa.Column("answer", sa.Text, nullable=False),
            sa.Column("created_at", TIME, nullable=False),
            sa.Column("ended_at", TIME),
            #: who took it
            sa.Column("taken_by", TEXT_ID),
            #: if nobody has taken it, or answered it, until then by the clock of leases, it is lost
            sa.Column("lease_until", TIME, nullable=False),
        )
        o = self.order.c
        self._index("order_host", o.host, o.state)
        self.entry = self._table(
            "entry",
            sa.Column("id", TEXT_ID, primary_key=True),
            sa.Column("name", NAME, nullable=False),
            sa.Column("queue", NAME, nullable=False),
            sa.Column("status", sa.SmallInteger, nullable=False),
            sa.Column("priority", sa.SmallInteger, nullable=False),
            sa.Column("label", NAME),
            sa.Column("owner", NAME),
            sa.Column("category", NAME),
            sa.Column("parent_id", TEXT_ID),
            sa.Column("master_status", sa.SmallInteger, nullable=False),
            sa.Column("has_children", sa.SmallInteger, nullable=False),
            sa.Column("retry_of", TEXT_ID),
            sa.Column("attempts", sa.Integer, nullable=False),
            sa.Column("crashes", sa.Integer, nullable=False),
            sa.Column("fence", sa.Integer, nullable=False),
            sa.Column("worker", NAME),
            #: which incarnation claimed it last (R2)
            sa.Column("incarnation", TEXT_ID),
            sa.Column("cancel_requested", sa.SmallInteger, nullable=False),
            sa.Column("created_at", TIME, nullable=False),
            sa.Column("due_at", TIME),
            sa.Column("started_at", TIME),
            sa.Column("finished_at", TIME),
            sa.Column("relayed_at", TIME),
            sa.Column("unknown_since", TIME),
            sa.Column("group_name", NAME),
            #: its place in the line of its group, in the order in which the store took them
            sa.Column("place", TIME),
            sa.Column("unique_key", NAME),
            sa.Column("alone", sa.SmallInteger, nullable=False, server_default="0"),
            sa.Column("archived_from", sa.SmallInteger),
            sa.Column("progress", blob),
            sa.Column("payload", blob, nullable=False),
            sa.Column("report", blob),
        )
        e = self.entry.c
        self._index("entry_status", e.status, e.id)
        self._index("entry_name", e.name, e.id)
        self._index("entry_owner", e.owner, e.id, where=e.owner.is_not(None))
        self._index("entry_parent", e.parent_id, e.status, where=e.parent_id.is_not(None))
        # Not by id alone: what waits for years would be read again at each look for what is due.
        self._index("entry_unrelayed", e.queue, e.relayed_at, e.due_at, e.id, where=e.relayed_at.is_(None))
        self._index("entry_group", e.queue, e.group_name, e.status, e.place, where=e.group_name.is_not(None))
        self._index("entry_key", e.queue, e.unique_key, where=e.unique_key.is_not(None), unique=True)
        self.attempt = self._table(
            "attempt",
            sa.Column("task_id", TEXT_ID, primary_key=True),
            sa.Column("fence", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("attempt", sa.Integer, nullable=False),
            sa.Column("cause", sa.String(32), nullable=False),
            sa.Column("detail", sa.Text, nullable=False),
            sa.Column("worker", NAME),
            sa.Column("started_at", TIME),
            sa.Column("ended_at", TIME, nullable=False),
            sa.Column("report", blob),
            #: what it logged last, as lines
            sa.Column("log", sa.Text),
        )
        self.tally = self._table(
            "tally",
            sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
            sa.Column("queue", NAME, nullable=False),
            #: a status' number as text, or the broker's own: waiting, delayed, leased
            sa.Column("what", sa.String(16), nullable=False),
            sa.Column("delta", sa.BigInteger, nullable=False),
        )
        self.meta = self._table(
            "meta",
            sa.Column("name", sa.String(64), primary_key=True),
            sa.Column("value", sa.Text, nullable=False),
        )

    def _table(self, name: str, *columns: sa.Column[object]) -> sa.Table:
        # Hot tables keep their rows in the primary key's own tree: one tree to write instead of two.
        clustered = name in ("message", "lease", "delayed", "entry")
        return sa.Table(
            self.prefix + name,
            self.metadata,
            *columns,
            **self._own(sqlite_with_rowid=not clustered, mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin"),
        )

    def _index(
        self, name: str, *columns: sa.Column[object], where: sa.ColumnElement[bool] | None = None, unique: bool = False
    ) -> None:
        options = self._own(sqlite_where=where, postgresql_where=where)
        sa.Index(f"ix_{self.prefix}{name}", *columns, unique=unique, **options)

    def _own(self, **options: Any) -> dict[str, Any]:
        # SQLAlchemy imports the dialect of each option that it sees, which takes time and memory.
        return {name: value for name, value in options.items() if name.startswith(f"{self._kind}_")}


def _bytes(kind: str) -> sa.types.TypeEngine[bytes]:
    if kind != "mysql":
        return sa.LargeBinary()
    from sqlalchemy.dialects import mysql

    return sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")


@cache
def tables(prefix: str = "taskqueue_", schema: str | None = None, *, kind: str = "sqlite") -> Tables:
    """The tables of that prefix and schema; one set of objects each, so that compiled statements are shared."""
    return Tables(prefix, schema, kind)
