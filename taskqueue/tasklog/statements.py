"""The task log's SQL, each statement built once. `ids` is a list of entry ids."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningUpdate

from taskqueue.database.dialects import Dialect
from taskqueue.database.schema import Tables
from taskqueue.status import HELD, OPEN, Status
from taskqueue.tasklog.entry import Entry
from taskqueue.tasklog.store import Head

#: begins the names of a new entry's values
NEW = "new_"
LISTED = tuple(field for field in Entry.__struct_fields__ if field != "payload")


class Statements:
    """The statements for one set of tables in one dialect."""

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        self.entry, self.attempt, self.tally = tables.entry, tables.attempt, tables.tally
        self._dialect = dialect
        self._columns: Any = self.entry.c
        self._write()
        self._read()
        self._read_outbox()
        self._read_groups()
        self._read_children()

    def _among(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        return self._dialect.ids_in(column, "ids")

    def _write(self) -> None:
        entry, e, among = self.entry, self._columns, self._among(self._columns.id)
        # Where rows that exist would be counted as stored, they must fail instead.
        self.insert = self._dialect.insert_new(entry) if self._dialect.counts_new else sa.insert(entry)
        self.note = self._dialect.insert_new(self.attempt)
        self._claim = sa.update(entry).values(
            status=int(Status.DEQUEUED),
            fence=e.fence + 1,
            worker=sa.bindparam("by"),
            incarnation=sa.bindparam("life"),
            started_at=sa.null(),
            progress=sa.null(),
        )
        self.claim = self._claim.where(among)
        self._head_columns = [e[field] for field in Head.__struct_fields__]
        self.claim_enqueued = self.claim_these(among)
        self.relayed = sa.update(entry).where(among).values(relayed_at=sa.bindparam("at"))
        self.delete = sa.delete(entry).where(among)
        self.delete_attempts = sa.delete(self.attempt).where(self._among(self.attempt.c.task_id))

    def claim_these(self, among: sa.ColumnElement[bool]) -> ReturningUpdate[Any]:
        """Claim those of them that are enqueued; their heads."""
        # Locked in the order of their ids by the same statement, whichever way the update comes to them (R12).
        # Not the bare status, whose index would be read for all that were enqueued when it was last looked over.
        e = self._columns
        enqueued = among, (e.status + 0) == int(Status.ENQUEUED)
        free = sa.select(e.id).where(*enqueued).order_by(e.id).with_for_update().cte("free")
        return self._claim.where(e.id.in_(sa.select(free.c.id))).returning(*self._head_columns)

    def _read(self) -> None:
        e, a, t, among = self._columns, self.attempt.c, self.tally.c, self._among(self._columns.id)
        self.listed = [e[field] for field in LISTED]
        self.heads = sa.select(*self._head_columns).where(among).order_by(e.id).with_for_update()
        self.one = sa.select(*(e[field] for field in Entry.__struct_fields__)).where(e.id == sa.bindparam("id"))
        self.statuses = sa.select(e.id, e.status).where(among)
        self.cancel_flags = sa.select(e.id).where(among, e.cancel_requested == 1)
        self.attempts = sa.select(self.attempt).where(a.task_id == sa.bindparam("id")).order_by(a.fence)
        statuses = [str(int(status)) for status in Status]
        self.counts = (
            sa.select(t.queue, t.what, sa.func.sum(t.delta)).where(t.what.in_(statuses)).group_by(t.queue, t.what)
        )
        self.counts_of_owner = (
            sa.select(e.queue, e.status, sa.func.count())
            .where(e.owner == sa.bindparam("owner"))
            .group_by(e.queue, e.status)
        )
        self.ended = (
            sa.select(*self._head_columns)
            .where(e.status == sa.bindparam("status"), e.id > sa.bindparam("after"), e.id < sa.bindparam("below"))
            .order_by(e.id)
            .limit(sa.bindparam("limit"))
        )

    def _read_outbox(self) -> None:
        e = self._columns
        # Not the bare status: its index would be the wrong one to read by, nearly all that wait have been relayed.
        left = (
            sa.select(*(e[field] for field in Entry.__struct_fields__))
            .where(e.queue == sa.bindparam("queue"), e.relayed_at.is_(None))
            .where((e.status + 0) == int(Status.ENQUEUED), e.created_at < sa.bindparam("before"))
        )
        # Two questions and not one with an OR, which no index answers in order.
        self.unrelayed = left.where(e.due_at.is_(None)).order_by(e.id).limit(sa.bindparam("limit"))
        self.unrelayed_due = (
            left.where(e.due_at <= sa.bindparam("due")).order_by(e.due_at, e.id).limit(sa.bindparam("limit"))
        )
        # Ids bear the time of their making: what is younger than the time in question is not looked at.
        self.unheard_of = (
            sa.select(*(e[field] for field in Entry.__struct_fields__))
            .where(e.status == int(Status.ENQUEUED), e.id < sa.bindparam("below"))
            .where(e.relayed_at < sa.bindparam("before"), e.queue == sa.bindparam("queue"))
            .order_by(e.id)
            .limit(sa.bindparam("limit"))
        )

    def _read_groups(self) -> None:
        e, other = self._columns, self.entry.alias("other")
        o: Any = other.c
        held = [int(status) for status in HELD]
        group = o.queue == e.queue, o.group_name == e.group_name
        # What was enqueued with a delay stands in no line before that is over. Claimed once, it keeps its place.
        in_line = sa.or_(o.fence > 0, o.due_at.is_(None), o.due_at <= sa.bindparam("now"))
        running = sa.select(o.id).where(*group, o.status.in_(held)).limit(1)
        first = sa.select(o.id).where(*group, o.status == int(Status.ENQUEUED), in_line).order_by(o.place).limit(1)
        turn = sa.func.coalesce(running.scalar_subquery(), first.scalar_subquery(), e.id)
        self.turns = sa.select(e.id, turn).where(self._among(e.id), e.group_name.is_not(None))
        self.keyed = sa.select(e.id).where(e.queue == sa.bindparam("queue"), e.unique_key == sa.bindparam("key"))

    def _read_children(self) -> None:
        e = self._columns
        child, parent = self.entry.alias("child").c, self.entry.alias("parent").c
        is_open = child.status.in_([int(status) for status in OPEN])
        below = e.parent_id == sa.bindparam("parent")
        # EXISTS and not a join: with 1,700 children it stops at the first.
        self.with_open_children = sa.select(parent.id).where(
            self._among(parent.id), sa.exists().where(child.parent_id == parent.id, is_open)
        )
        ended_as = sa.func.coalesce(e.archived_from, e.status)
        self.child_counts = sa.select(ended_as, sa.func.count()).where(below).group_by(ended_as)
        self.child_ids = (
            sa.select(e.id)
            .where(below, ended_as.in_(sa.bindparam("statuses", expanding=True)))
            .order_by(e.id)
            .limit(sa.bindparam("limit"))
        )
        self.awaits_message = (
            sa.select(e.id).where(self._among(e.parent_id), e.due_at >= sa.bindparam("after")).limit(1)
        )
        is_lively = sa.or_(e.status.in_([int(status) for status in OPEN]), e.has_children == 1)
        self.lively_children = sa.select(e.id).where(self._among(e.parent_id), is_lively)
        self.parents_among_children = sa.select(e.id).where(below, e.has_children == 1)
        self.children = sa.select(*self.listed).where(below).order_by(e.created_at, e.id)


def claiming(tables: Tables, dialect: Dialect, ids: sa.ScalarSelect[Any]) -> tuple[sa.CTE, sa.CTE]:
    """The claims of these ids, as heads, and their counts as parts of a larger statement."""
    statements = Statements(tables, dialect)
    claimed = statements.claim_these(tables.entry.c.id == sa.any_(sa.func.array(ids))).cte("claimed")
    each = sa.select(claimed.c.queue, sa.literal(str(int(Status.ENQUEUED))), -sa.func.count())
    steps = each, sa.select(claimed.c.queue, sa.literal(str(int(Status.DEQUEUED))), sa.func.count())
    rows = sa.union_all(*(step.group_by(claimed.c.queue) for step in steps))
    return claimed, sa.insert(tables.tally).from_select(["queue", "what", "delta"], rows).cte("claims")


def adding(tables: Tables, dialect: Dialect, named: tuple[str, ...]) -> tuple[sa.CTE, sa.CTE]:
    """An entry and its count as parts of a larger statement; `named` are the values that are given, NEW before each."""
    values: dict[str, Any] = {name.removeprefix(NEW): sa.bindparam(name) for name in named}
    stored = dialect.insert_new(tables.entry).values(values).returning(tables.entry.c.id).cte("stored")
    what = sa.cast(sa.bindparam(f"{NEW}status", type_=sa.Integer()), sa.String)
    row = sa.select(sa.bindparam(f"{NEW}queue", type_=sa.String()), what, sa.literal(1)).select_from(stored)
    counted = sa.insert(tables.tally).from_select(["queue", "what", "delta"], row).cte("counted")
    return stored, counted
