"""Hosts: what each one's supervisor says of itself, and orders to it, from wherever the store is reached.

A host's keeper publishes its master's snapshot and takes its orders (`supervisor.liaison`), in every database in which
its workers are registered. A host that was not heard of is shown by its last word, and an order to it is lost.
"""

from __future__ import annotations

import json
import threading
from typing import Literal, get_args

import msgspec

from taskqueue.app import App
from taskqueue.database import hosts as rows
from taskqueue.database import orders
from taskqueue.database.engine import Database
from taskqueue.database.hosts import HostRow
from taskqueue.database.orders import PATIENCE, OrderRow
from taskqueue.errors import InvalidArguments, UnknownHost, UnknownOrder, did_you_mean
from taskqueue.ids import is_id
from taskqueue.operations.times import seconds as in_words
from taskqueue.snapshot import Snapshot
from taskqueue.visible import is_storable

Command = Literal["pause", "resume", "scale", "restart"]
State = Literal["waiting", "done", "refused", "lost"]
#: for how long one `watch` may ask, in seconds
LONGEST_WATCH = 300.0
#: of one pool, as `taskqueue.settings` has it; and the longest name, in characters
MOST_WORKERS, LONGEST = 1000, 255
#: seconds between two looks for an answer
LOOK = 0.1


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host and the last word of its supervisor."""

    name: str
    #: when it was said, in microseconds since 1970 UTC
    seen: int
    #: how long ago that is by the store's clock, in seconds
    silent: float
    #: for how long its supervisor is still taken for alive, in seconds; below zero: it is not
    lease: float
    #: None: it could not be read (another release wrote it)
    snapshot: Snapshot | None

    @property
    def alive(self) -> bool:
        """Whether it was heard of in time."""
        return self.lease >= 0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a host's supervisor is to do. Times are microseconds since 1970 UTC."""

    id: str
    host: str
    command: Command
    #: POOL or POOL/INDEX; None: all of the host
    target: str | None = None
    #: for `scale`
    workers: int | None = None
    by: str
    created_at: int
    ended_at: int | None = None
    state: State = "waiting"
    #: one line of the supervisor, or why nobody can know what became of it
    answer: str = ""


def hosts(app: App) -> list[Host]:
    """All hosts whose supervisors were heard of, by name; one that is gone stays for a day. Raises BrokerUnavailable.

    One that was stopped in good order is not there any more.
    """
    found: dict[str, HostRow] = {}
    for database in app.registers:
        for row in rows.known(database):
            if row.name not in found or row.silent < found[row.name].silent:
                found[row.name] = row
    return [_host(app, row) for _, row in sorted(found.items())]


def watch(app: App, seconds: float) -> None:
    """Ask the keepers to publish each second for so long (300 s at the most), instead of every 10 s.

    Whoever watches for longer says so again, in time. Raises BrokerUnavailable.
    """
    for database in app.registers:
        rows.watch(database, min(max(seconds, 0.0), LONGEST_WATCH))


def order(
    app: App,
    host: str,
    command: Command,
    *,
    target: str | None = None,
    workers: int | None = None,
    by: str,
    patience: float = PATIENCE,
) -> Order:
    """Leave an order for that host's supervisor, which is taken within about a second; `by` is shown to people.

    What nobody takes within `patience` seconds is lost, and so is at once what is said to a host that is gone. The
    supervisor's own rules hold: what it refuses ends as `refused`, with its reason.

    Raises UnknownHost, InvalidArguments for what is no order, and BrokerUnavailable.
    """
    _check(command, target, workers, by)
    database, row = _where(app, host)
    lost = "" if row.lease >= 0 else f"lost: {host} was not heard of for {in_words(row.silent)}; nothing was done"
    left = orders.give(database, host, command, target=target, workers=workers, by=by, patience=patience, lost=lost)
    return _order(left)


def order_of(app: App, order_id: str) -> Order:
    """How far an order is. Raises UnknownOrder, BrokerUnavailable."""
    for database in app.registers if is_id(order_id) else ():
        if (row := orders.get(database, order_id)) is not None:
            return _order(row)
    raise UnknownOrder(f"there is no order {order_id!r}; those that ended are forgotten after a day")


def answered(app: App, order_id: str, *, within: float) -> Order:
    """Wait until the order has ended, for `within` seconds at the most; how far it is. Raises as `order_of` does."""
    deadline = app.clock.monotonic() + within
    while (found := order_of(app, order_id)).state == "waiting" and app.clock.monotonic() < deadline:
        threading.Event().wait(LOOK)
    return found


def latest(app: App, *, limit: int = 50) -> list[Order]:
    """The newest orders, newest first: who said what, and what came of it. Raises BrokerUnavailable."""
    found = [row for database in app.registers for row in orders.latest(database, limit=limit)]
    return [_order(row) for row in sorted(found, key=lambda row: (row.created_at, row.id), reverse=True)][:limit]


def _check(command: str, target: str | None, workers: int | None, by: str) -> None:
    if command not in get_args(Command):
        hint = did_you_mean(command, get_args(Command)) or f"; known: {', '.join(get_args(Command))}"
        raise InvalidArguments(f"{command!r} is no order{hint}")
    if (command == "scale") != (workers is not None):
        raise InvalidArguments(
            "scale needs a number of workers" if workers is None else f"{command} takes no number of workers"
        )
    if command == "scale" and target is None:
        raise InvalidArguments("scale needs the name of a pool")
    if workers is not None and not 0 <= workers <= MOST_WORKERS:
        raise InvalidArguments(f"a pool can have 0 to {MOST_WORKERS:,} workers, not {workers}")
    for what, text in (("target", target), ("by", by)):
        if text is not None and (not text or len(text) > LONGEST or not is_storable(text)):
            raise InvalidArguments(f"{what} is a name of 1 to {LONGEST} characters")


def _where(app: App, host: str) -> tuple[Database, HostRow]:
    """The database in which that host was heard of last."""
    found = [(row, database) for database in app.registers for row in rows.known(database)]
    mine = [(row, database) for row, database in found if row.name == host]
    if not mine:
        names = sorted({row.name for row, _ in found})
        hint = did_you_mean(host, names) or f"; known: {', '.join(names) or 'none'}"
        raise UnknownHost(f"no supervisor of a host {host!r} was heard of{hint}")
    row, database = min(mine, key=lambda one: one[0].silent)
    return database, row


def _host(app: App, row: HostRow) -> Host:
    seen = app.clock.micros() - int(row.silent * 1e6)
    return Host(name=row.name, seen=seen, silent=row.silent, lease=row.lease, snapshot=_snapshot(row.snapshot))


def _snapshot(said: bytes) -> Snapshot | None:
    try:
        return msgspec.convert(json.loads(said), Snapshot)
    except (ValueError, RecursionError):
        return None


def _order(row: OrderRow) -> Order:
    facts = {name: value for name, value in msgspec.structs.asdict(row).items() if name != "said_by"}
    # Between being taken and being answered there are some milliseconds.
    state = "waiting" if row.state == "taken" else row.state
    return Order(**facts | {"by": row.said_by, "state": state})
