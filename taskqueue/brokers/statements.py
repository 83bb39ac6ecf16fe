"""The SQL of `RdsQueueBroker`: every statement once, named by its step. Lists travel as one parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from taskqueue.database.dialects import Dialect
from taskqueue.database.schema import Tables

#: values of `alone`: leased alone; held beside others when its owner died
ALONE, SUSPECT = 1, 2
Column = sa.ColumnElement[Any]


class Statements:
    """Parameters: `ids`, `owners` and `suspects` are lists; new ids are `base` + 1 and on; times are the store's.

    What a scan has read is moved as `these` says. Where one writes at a time that is its range: `last_major` and
    `last_minor` are the last row's place in the order of the scan. Elsewhere others may have put a row between, or hold
    one that the scan passed over: the rows, which are locked, are named by where they lie (`places`), or where a
    database does not tell, by their `ids`, to which the other parameters lead an index.
    """

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        self._message, self._lease, self._delayed = tables.message, tables.lease, tables.delayed
        self._worker, self._tally = tables.worker, tables.tally
        self._dialect = dialect
        self._places = [] if dialect.place is None else [dialect.place]
        self._looking()
        self._pushing()
        self._claiming()
        self._promoting()
        self._holding()
        self._releasing()
        self._recovering()

    def _looking(self) -> None:
        m, d = self._message.c, self._delayed.c
        waiting = sa.select(m.id).where(m.queue == bindparam("queue")).exists()
        self.next_due = sa.select(sa.func.min(d.due)).where(d.queue == bindparam("queue"))
        self.look = sa.select(waiting, self.next_due.scalar_subquery())

    def _pushing(self) -> None:
        self.push = sa.insert(self._message)
        self.push_delayed = sa.insert(self._delayed)

    def pushing(self, stored: sa.CTE) -> tuple[sa.CTE, sa.CTE]:
        """A message and its count as parts of a larger statement, where `stored` has a row."""
        m, queue, number = self._message.c, bindparam("queue", type_=sa.String()), self._dialect.new_id
        assert number is not None
        given = {name: bindparam(name, type_=m[name].type) for name in ("lane", "task_id", "alone", "body")}
        row = sa.select(queue, number, *given.values()).select_from(stored)
        message = sa.insert(self._message).from_select(["queue", "id", *given], row).cte("message")
        count = sa.select(queue, sa.literal("waiting"), sa.literal(1)).select_from(stored)
        counted = sa.insert(self._tally).from_select(["queue", "what", "delta"], count).cte("waiting")
        return message, counted

    def _claiming(self) -> None:
        m, w = self._message.c, self._worker.c
        columns = ["id", "queue", "lane", "task_id", "alone", "body", "owner", "lease_until"]
        these = self._read_rows(m.queue, m.lane, m.id, few=True)
        # R1: where others write at the same time, this holds off whoever declares us dead until we have committed.
        self.alive = sa.select(w.id).where(w.id == bindparam("owner")).with_for_update(read=True, key_share=True)
        self.scan = (
            sa.select(m.lane, m.id, m.task_id, m.alone, m.body, *self._places)
            .where(m.queue == bindparam("queue"))
            .order_by(m.lane, m.id)
            .limit(bindparam("limit"))
            .with_for_update(skip_locked=True)
        )
        self.scan_on = self._scan_on()
        given = bindparam("owner", type_=w.id.type), bindparam("until", type_=m.id.type)
        self.lease = self._move(
            self._message,
            self._lease,
            columns,
            lambda r: sa.select(r.id, r.queue, r.lane, r.task_id, r.alone, r.body, *given),
            these,
        )

    def _scan_on(self) -> sa.Select[Any]:
        """The same from a place in one lane on, if the lanes before it are empty."""
        m = self._message.c
        queue: sa.BindParameter[Any] = bindparam("queue")
        return (
            sa.select(m.lane, m.id, m.task_id, m.alone, m.body, *self._places)
            .where(m.queue == queue, *from_mark(self._message, queue))
            .order_by(m.id)
            .limit(bindparam("limit"))
            .with_for_update(skip_locked=True)
        )

    def _promoting(self) -> None:
        d = self._delayed.c
        these = self._read_rows(d.queue, d.due, d.id, few=False)
        self.due = (
            sa.select(d.due, d.id, *self._places)
            .where(d.queue == bindparam("queue"), d.due <= bindparam("now"))
            .order_by(d.due, d.id)
            .limit(bindparam("limit"))
            .with_for_update(skip_locked=True)
        )
        self.promote = self._move(
            self._delayed,
            self._message,
            _MESSAGE,
            lambda r: sa.select(r.queue, r.lane, _new_id(r.due, r.id), r.task_id, r.alone, r.body),
            these,
        )

    def _holding(self) -> None:
        x = self._lease.c
        ours = self._dialect.ids_in(x.id, "ids"), x.owner == bindparam("owner")
        self.ours = sa.select(x.id).where(*ours).order_by(x.id).with_for_update()
        self.end_ours = sa.delete(self._lease).where(*ours).returning(x.id)
        self.end = sa.delete(self._lease).where(self._dialect.ids_in(x.id, "ids"))
        self.extend = (
            sa.update(self._lease).where(self._dialect.ids_in(x.id, "ids")).values(lease_until=bindparam("until"))
        )

    def _releasing(self) -> None:
        x = self._lease.c
        alone = sa.case((sa.or_(x.alone > 0, bindparam("alone", type_=x.alone.type) == ALONE), ALONE), else_=0)
        new_id, these = _new_id(x.lane, x.id), self._dialect.ids_in(x.id, "ids")
        back, tail = x.lane - x.lane % 2, x.lane - x.lane % 2 + 1
        row = sa.select(x.queue, back, new_id, x.task_id, alone, x.body).where(these)
        self.put_back = sa.insert(self._message).from_select(_MESSAGE, row)
        due = bindparam("due", type_=x.id.type), bindparam("due_wall", type_=x.id.type)
        late = sa.select(x.queue, tail, new_id, x.task_id, alone, x.body, *due).where(these)
        self.put_off = sa.insert(self._delayed).from_select([*_MESSAGE, "due", "due_wall"], late)

    def _recovering(self) -> None:
        x = self._lease.c
        over = sa.or_(x.lease_until < bindparam("now"), self._dialect.ids_in(x.owner, "owners"))
        held = sa.select(x.owner, sa.func.count().label("held")).group_by(x.owner).subquery()
        self.any_over = sa.select(x.id).where(x.queue == bindparam("queue"), over).limit(1)
        self.over = (
            sa.select(x.id, x.task_id, x.owner, x.alone, held.c.held)
            .join(held, held.c.owner == x.owner)
            .where(x.queue == bindparam("queue"), over)
            .order_by(x.lane, x.id)
            # Whoever holds one of these is settling it, or recovers as we do; what he leaves is found at the next time.
            .with_for_update(skip_locked=True, of=self._lease)
        )
        # In all queues of the store: when the others are recovered, this owner's leases will be fewer than they were.
        self.suspect = (
            sa.update(self._lease).where(self._dialect.ids_in(x.owner, "suspects"), over).values(alone=SUSPECT)
        )

    # Rows from table to table

    def these(self, queue: str, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """Parameters that name rows which a scan gave in its order; they begin with their major and minor place."""
        if self._places:
            return {"places": [row[-1] for row in rows]}
        last = {"queue": queue, "last_major": rows[-1][0]}
        if self._dialect.one_writer:
            return last | {"last_minor": rows[-1][1]}
        majors = sorted({row[0] for row in rows})
        return last | {"first_major": majors[0], "majors": majors, "ids": [row[1] for row in rows]}

    def _read_rows(self, queue: Column, major: Column, minor: Column, *, few: bool) -> list[sa.ColumnElement[bool]]:
        if self._dialect.place is not None:
            return [self._dialect.ids_in(self._dialect.place, "places")]
        of_queue = queue == bindparam("queue")
        last = bindparam("last_major", type_=major.type)
        if self._dialect.one_writer:
            place = sa.tuple_(last, bindparam("last_minor", type_=minor.type))
            return [of_queue, sa.tuple_(major, minor) <= place]
        these = self._dialect.ids_in(minor, "ids")
        if few:  # so that each row is one step down the index, however long its lane
            return [of_queue, self._dialect.ids_in(major, "majors"), these]
        return [of_queue, major >= bindparam("first_major", type_=major.type), major <= last, these]

    def _move(
        self,
        source: sa.Table,
        target: sa.Table,
        columns: list[str],
        rows: Callable[[Any], sa.Select[Any]],
        these: Sequence[sa.ColumnElement[bool]],
    ) -> tuple[sa.Executable, ...]:
        """The statements, to be run one after the other, that take `these` from table to table."""
        if self._dialect.moves_in_one:
            gone = sa.delete(source).where(*these).returning(*source.c).cte("gone")
            return (sa.insert(target).from_select(columns, rows(gone.c)),)
        put = sa.insert(target).from_select(columns, rows(source.c).where(*these))
        return put, sa.delete(source).where(*these)


_MESSAGE = ["queue", "lane", "id", "task_id", "alone", "body"]


def _new_id(*order: Column) -> sa.ColumnElement[int]:
    return bindparam("base", type_=sa.BigInteger()) + sa.func.row_number().over(order_by=order)


def from_mark(message: sa.Table, queue: sa.BindParameter[Any]) -> list[sa.ColumnElement[bool]]:
    """Behind that `mark` in that `lane`, if the lanes before it are empty."""
    m, before = message.c, message.alias("before").c
    first = sa.select(before.id).where(before.queue == queue, before.lane < bindparam("lane"))
    return [m.lane == bindparam("lane"), m.id > bindparam("mark"), ~first.exists()]
