"""The SQL of `RdsQueueBroker`: every statement once, named by its step. Lists travel as one parameter."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import bindparam

from taskqueue.database.dialects import Dialect
from taskqueue.database.schema import Tables

#: values of `alone`: leased alone; held beside others when its owner died
ALONE, SUSPECT = 1, 2
Column = sa.ColumnElement[int]


class Statements:
    """Parameters: `ids`, `owners` and `suspects` are lists; new ids are `base` + 1 and on; times are the store's.

    `last_major` and `last_minor` are the last row's place in the order of the scan: what has been read is moved by its
    range, not row by row. That holds where one writes at a time.
    """

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        self._message, self._lease, self._delayed = tables.message, tables.lease, tables.delayed
        self._worker = tables.worker
        self._dialect = dialect
        self._looking()
        self._pushing()
        self._claiming()
        self._promoting()
        self._holding()
        self._releasing()
        self._recovering()

    def _looking(self) -> None:
        m, d = self._message.c, self._delayed.c
        self.any_waiting = sa.select(m.id).where(m.queue == bindparam("queue")).limit(1)
        self.next_due = sa.select(sa.func.min(d.due)).where(d.queue == bindparam("queue"))

    def _pushing(self) -> None:
        self.push = sa.insert(self._message)
        self.push_delayed = sa.insert(self._delayed)

    def _claiming(self) -> None:
        m, w = self._message.c, self._worker.c
        columns = ["id", "queue", "lane", "task_id", "alone", "body", "owner", "lease_until"]
        first = m.queue == bindparam("queue"), _up_to(m.lane, m.id)
        # R1: where others write at the same time, this holds off whoever declares us dead until we have committed.
        self.alive = sa.select(w.id).where(w.id == bindparam("owner")).with_for_update(read=True, key_share=True)
        self.scan = (
            sa.select(m.lane, m.id, m.task_id, m.alone, m.body)
            .where(m.queue == bindparam("queue"))
            .order_by(m.lane, m.id)
            .limit(bindparam("limit"))
        )
        self.lease = sa.insert(self._lease).from_select(
            columns,
            sa.select(
                m.id,
                m.queue,
                m.lane,
                m.task_id,
                m.alone,
                m.body,
                bindparam("owner"),
                bindparam("until", type_=m.id.type),
            ).where(*first),
        )
        self.unqueue = sa.delete(self._message).where(*first)

    def _promoting(self) -> None:
        d = self._delayed.c
        first = d.queue == bindparam("queue"), _up_to(d.due, d.id)
        self.due = (
            sa.select(d.due, d.id)
            .where(d.queue == bindparam("queue"), d.due <= bindparam("now"))
            .order_by(d.due, d.id)
            .limit(bindparam("limit"))
        )
        row = sa.select(d.queue, d.lane, _new_id(d.due, d.id), d.task_id, d.alone, d.body).where(*first)
        self.promote = sa.insert(self._message).from_select(_MESSAGE, row)
        self.undelay = sa.delete(self._delayed).where(*first)

    def _holding(self) -> None:
        x = self._lease.c
        ours = self._dialect.ids_in(x.id, "ids"), x.owner == bindparam("owner")
        self.ours = sa.select(x.id).where(*ours).with_for_update()
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
        )
        # In all queues of the store: when the others are recovered, this owner's leases will be fewer than they were.
        self.suspect = (
            sa.update(self._lease).where(self._dialect.ids_in(x.owner, "suspects"), over).values(alone=SUSPECT)
        )


_MESSAGE = ["queue", "lane", "id", "task_id", "alone", "body"]


def _up_to(major: Column, minor: Column) -> sa.ColumnElement[bool]:
    return sa.tuple_(major, minor) <= sa.tuple_(
        bindparam("last_major", type_=major.type), bindparam("last_minor", type_=minor.type)
    )


def _new_id(*order: Column) -> sa.ColumnElement[int]:
    return bindparam("base", type_=sa.BigInteger()) + sa.func.row_number().over(order_by=order)
