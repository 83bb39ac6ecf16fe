"""What each host's supervisor says of itself, for whoever reaches the store: one row a host, written by its keeper.

A row belongs to the supervisor that wrote it as long as its lease lasts: of two that call themselves the same, the
second is refused. Its `seat`, the path of its control socket, tells the same supervisor, started again, from another.
"""

from __future__ import annotations

from functools import cache

import msgspec
import sqlalchemy as sa

from taskqueue.database.engine import Database
from taskqueue.database.schema import Tables
from taskqueue.ids import new_id

#: for how long a supervisor is taken for alive without a word of its own, in seconds
LEASE = 30.0
#: for how long one that was not heard of any more is remembered, in seconds
REMEMBERED = 86_400.0
#: the fact that says how long somebody watches
_WATCHED = "watched"
_PAUSED, _ORDERED, _WATCH = 0, 1, 2


class HostRow(msgspec.Struct, frozen=True, kw_only=True):
    """A host's last word, as JSON. Both spans are seconds by the store's clock."""

    name: str
    snapshot: bytes
    #: since it was said
    silent: float
    #: for which its supervisor is still taken for alive; below zero: it is not
    lease: float


class Glance(msgspec.Struct, frozen=True):
    """What a keeper has to know each second, in one read."""

    #: names of the queues that are paused for the whole fleet (P6)
    paused: frozenset[str]
    #: ids of the orders that wait for this host, oldest first
    orders: tuple[str, ...]
    #: what `watch` said last: for so many seconds from the moment at which this is new
    watched: str


def glance(database: Database, host: str) -> Glance:
    """Look at what concerns that host now."""
    found: dict[int, list[str]] = {_PAUSED: [], _ORDERED: [], _WATCH: []}
    for what, _, value in sorted(database.rows(_glance(database.tables), {"host": host}), key=tuple):
        found[what].append(value)
    return Glance(frozenset(found[_PAUSED]), tuple(found[_ORDERED]), "".join(found[_WATCH]))


def publish(database: Database, name: str, *, seat: str, snapshot: bytes) -> bool:
    """Let everybody read what that host's supervisor says; False if another living one calls itself so."""
    table = database.tables.host

    def step() -> bool:
        with database.begin() as tx:
            now = database.dialect.lease_now(tx.connection)
            said = {"snapshot": snapshot, "seen_at": now, "lease_until": now + int(LEASE * 1e6)}
            mine = (table.c.name == name) & ((table.c.seat == seat) | (table.c.lease_until < now))
            if tx.execute(sa.update(table).where(mine).values(seat=seat, **said)).rowcount:
                return True
            tx.execute(database.dialect.insert_new(table), {"name": name, "seat": seat, **said})
            return tx.execute(sa.select(table.c.seat).where(table.c.name == name)).scalar() == seat

    return database.turn(step)


def leave(database: Database, name: str, *, seat: str, stopped: bool) -> None:
    """That host's supervisor is gone: because it was `stopped`, which removes it, or nobody knows how."""
    table = database.tables.host
    mine = (table.c.name == name) & (table.c.seat == seat)

    def step() -> None:
        with database.begin() as tx:
            if stopped:
                tx.execute(sa.delete(table).where(mine))
            else:
                now = database.dialect.lease_now(tx.connection)
                tx.execute(sa.update(table).where(mine & (table.c.lease_until >= now)).values(lease_until=now - 1))

    database.turn(step)


def known(database: Database) -> list[HostRow]:
    """All hosts that were heard of, by name; those that are not alive any more for a day."""
    table = database.tables.host
    with database.read() as connection:
        now = database.dialect.lease_now(connection)
        rows = connection.execute(sa.select(table).order_by(table.c.name)).mappings()
        return [
            HostRow(
                name=row["name"],
                snapshot=bytes(row["snapshot"]),
                silent=max(0.0, (now - row["seen_at"]) / 1e6),
                lease=(row["lease_until"] - now) / 1e6,
            )
            for row in rows
        ]


def forget(database: Database) -> None:
    """Remove those that were not heard of for a day."""
    host = database.tables.host
    with database.read() as connection:
        before = database.dialect.lease_now(connection) - int(REMEMBERED * 1e6)
        late = list(connection.execute(sa.select(host.c.name).where(host.c.lease_until < before)).scalars())
    these = database.dialect.ids_in(host.c.name, "names")

    def step() -> None:
        with database.begin() as tx:
            tx.execute(sa.delete(host).where(these & (host.c.lease_until < before)), {"names": late})

    if late:
        database.turn(step)


def watch(database: Database, seconds: float) -> None:
    """Ask every keeper to publish each second, for so long from the moment at which it reads this."""
    meta = database.tables.meta
    said = f"{new_id()} {seconds:.1f}"

    def step() -> None:
        with database.begin() as tx:
            if not tx.execute(sa.update(meta).where(meta.c.name == _WATCHED).values(value=said)).rowcount:
                tx.execute(database.dialect.insert_new(meta), {"name": _WATCHED, "value": said})

    database.turn(step)


def watched_for(said: str) -> float:
    """The seconds that `Glance.watched` asks for."""
    _, _, seconds = said.partition(" ")
    return float(seconds or 0)


@cache
def _glance(tables: Tables) -> sa.CompoundSelect[int, int, str]:
    queue, order, meta = tables.queue.c, tables.order.c, tables.meta.c

    def found(
        what: int, column: sa.ColumnElement[str], at: sa.ColumnElement[int] | None = None
    ) -> sa.Select[int, int, str]:
        moment = sa.literal_column("0", sa.BigInteger) if at is None else at
        return sa.select(sa.literal_column(str(what), sa.Integer), moment, column)

    waiting = (order.host == sa.bindparam("host")) & (order.state == sa.literal_column("'waiting'"))
    return sa.union_all(
        found(_PAUSED, queue.name).where(queue.paused_at.is_not(None)),
        found(_ORDERED, order.id, order.created_at).where(waiting),
        found(_WATCH, meta.value).where(meta.name == sa.literal_column(f"'{_WATCHED}'")),
    )
