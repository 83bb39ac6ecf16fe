"""Everything that the first release has. Frozen: `schema.py` goes on, this does not."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

ID, NAME, TIME, SMALL, NUMBER, BYTES = (
    sa.String(36).with_variant(sa.String(36, collation="C"), "postgresql"),
    sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql"),
    sa.BigInteger(),
    sa.SmallInteger(),
    sa.Integer(),
    sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb"),
)


def upgrade() -> None:
    """Create all tables."""
    tables = context.config.attributes["tables"]
    new = _New(tables.prefix, tables.metadata.schema)
    _queues(new)
    _task_log(new)
    _facts(new)


class _New:
    """Creates under one prefix, in one schema; what an attempt that was ended half way has made already is left."""

    def __init__(self, prefix: str, schema: str | None) -> None:
        self.prefix, self.schema = prefix, schema
        self._resuming = bool(context.config.attributes.get("resuming"))

    def _has(self, table: str) -> bool:
        return self._resuming and sa.inspect(op.get_bind()).has_table(table, schema=self.schema)

    def table(self, name: str, *columns: sa.Column[Any], clustered: bool = False) -> None:
        if self._has(f"{self.prefix}{name}"):
            return
        op.create_table(
            f"{self.prefix}{name}",
            *columns,
            schema=self.schema,
            sqlite_with_rowid=not clustered,
            mysql_charset="utf8mb4",
            mysql_collate="utf8mb4_bin",
        )

    def index(self, name: str, table: str, *columns: str, where: str | None = None, unique: bool = False) -> None:
        if self._has_index(f"ix_{self.prefix}{name}", f"{self.prefix}{table}"):
            return
        condition = sa.text(where) if where else None
        op.create_index(
            f"ix_{self.prefix}{name}",
            f"{self.prefix}{table}",
            list(columns),
            schema=self.schema,
            unique=unique,
            sqlite_where=condition,
            postgresql_where=condition,
        )

    def _has_index(self, name: str, table: str) -> bool:
        found = sa.inspect(op.get_bind()).get_indexes(table, schema=self.schema) if self._resuming else ()
        return any(index["name"] == name for index in found)

    def fact(self, name: str, value: str) -> None:
        meta = sa.table(
            f"{self.prefix}meta", sa.column("name", sa.Text), sa.column("value", sa.Text), schema=self.schema
        )
        if self._resuming and op.get_bind().execute(sa.select(meta).where(meta.c.name == name)).first():
            return
        op.execute(sa.insert(meta).values(name=name, value=value))


def _key(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _has(name: str, kind: sa.types.TypeEngine[Any], **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, **options)


def _may(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def _queues(new: _New) -> None:
    message = [_has("task_id", ID), _has("alone", SMALL, server_default="0"), _has("body", BYTES)]
    new.table("message", _key("queue", NAME), _key("lane", SMALL), _key("id", TIME), *message, clustered=True)
    new.table(
        "lease",
        _key("id", TIME),
        _has("queue", NAME),
        _has("lane", SMALL),
        _has("task_id", ID),
        _has("alone", SMALL),
        _has("owner", ID),
        _has("lease_until", TIME),
        _has("body", BYTES),
        clustered=True,
    )
    new.table(
        "delayed",
        _key("queue", NAME),
        _key("due", TIME),
        _key("id", TIME),
        _has("due_wall", TIME),
        _has("lane", SMALL),
        _has("task_id", ID),
        _has("alone", SMALL),
        _has("body", BYTES),
        clustered=True,
    )
    new.table("queue", _key("name", NAME), _may("paused_at", TIME), _may("paused_by", NAME))


def _task_log(new: _New) -> None:
    new.table("entry", *_entry(), clustered=True)
    new.index("entry_status", "entry", "status", "id")
    new.index("entry_name", "entry", "name", "id")
    new.index("entry_owner", "entry", "owner", "id", where="owner IS NOT NULL")
    new.index("entry_parent", "entry", "parent_id", "status", where="parent_id IS NOT NULL")
    new.index("entry_unrelayed", "entry", "queue", "relayed_at", "due_at", "id", where="relayed_at IS NULL")
    new.index("entry_group", "entry", "queue", "group_name", "status", "place", where="group_name IS NOT NULL")
    new.index("entry_key", "entry", "queue", "unique_key", where="unique_key IS NOT NULL", unique=True)
    new.table(
        "attempt",
        _key("task_id", ID),
        _key("fence", NUMBER),
        _has("attempt", NUMBER),
        _has("cause", sa.String(32)),
        _has("detail", sa.Text()),
        _may("worker", NAME),
        _may("started_at", TIME),
        _has("ended_at", TIME),
        _may("report", BYTES),
        _may("log", sa.Text()),
    )


def _entry() -> list[sa.Column[Any]]:
    return [
        _key("id", ID),
        _has("name", NAME),
        _has("queue", NAME),
        _has("status", SMALL),
        _has("priority", SMALL),
        _may("label", NAME),
        _may("owner", NAME),
        _may("category", NAME),
        _may("parent_id", ID),
        _has("master_status", SMALL),
        _has("has_children", SMALL),
        _may("retry_of", ID),
        _has("attempts", NUMBER),
        _has("crashes", NUMBER),
        _has("fence", NUMBER),
        _may("worker", NAME),
        _may("incarnation", ID),
        _has("cancel_requested", SMALL),
        _has("created_at", TIME),
        _may("due_at", TIME),
        _may("started_at", TIME),
        _may("finished_at", TIME),
        _may("relayed_at", TIME),
        _may("unknown_since", TIME),
        _may("group_name", NAME),
        _may("place", TIME),
        _may("unique_key", NAME),
        _has("alone", SMALL, server_default="0"),
        _may("archived_from", SMALL),
        _may("progress", BYTES),
        _has("payload", BYTES),
        _may("report", BYTES),
    ]


def _facts(new: _New) -> None:
    new.table(
        "worker",
        _key("id", ID),
        _has("slot", NAME),
        _has("host", NAME),
        _has("pid", NUMBER),
        _has("kind", sa.String(16)),
        _has("queues", sa.Text()),
        _has("state", sa.String(16)),
        _has("started_at", TIME),
        _has("lease_until", TIME),
    )
    _hosts(new)
    number = sa.Column("id", TIME.with_variant(NUMBER, "sqlite"), sa.Identity(), primary_key=True)
    new.table("tally", number, _has("queue", NAME), _has("what", sa.String(16)), _has("delta", TIME))
    new.table("meta", _key("name", sa.String(64)), _has("value", sa.Text()))
    new.fact("message_id", "0")
    new.fact("oldest_release", "1")
    _numbers(new)


def _hosts(new: _New) -> None:
    new.table(
        "host",
        _key("name", NAME),
        _has("seat", sa.Text()),
        _has("snapshot", BYTES),
        _has("seen_at", TIME),
        _has("lease_until", TIME),
    )
    new.table(
        "order",
        _key("id", ID),
        _has("host", NAME),
        _has("command", sa.String(16)),
        _may("target", NAME),
        _may("workers", NUMBER),
        _has("said_by", NAME),
        _has("state", sa.String(16)),
        _has("answer", sa.Text()),
        _has("created_at", TIME),
        _may("ended_at", TIME),
        _may("taken_by", ID),
        _has("lease_until", TIME),
    )
    new.index("order_host", "order", "host", "state")


def _numbers(new: _New) -> None:
    """Where message ids come from, where a row that all writers change would make them wait for each other."""
    kind = op.get_context().dialect.name
    if kind in ("mysql", "mariadb"):
        new.table("number", sa.Column("id", TIME, primary_key=True, autoincrement=True))
    if kind == "postgresql":
        op.execute(sa.schema.CreateSequence(sa.Sequence(f"{new.prefix}message_id", schema=new.schema)))
