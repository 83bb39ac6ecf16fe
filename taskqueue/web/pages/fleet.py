"""The page Fleet: queues are paused and resumed everywhere; hosts, pools and workers are told what to do."""

from __future__ import annotations

from typing import cast, get_args

import msgspec
from starlette.responses import Response

from taskqueue.errors import BrokerUnavailable, InvalidArguments
from taskqueue.operations import hosts as operations
from taskqueue.operations import queues
from taskqueue.operations.hosts import Command, Order
from taskqueue.operations.words import count
from taskqueue.web.pages.hosts import HostView, host_views
from taskqueue.web.pages.queues import QueueRow, queue_rows
from taskqueue.web.pages.visit import Visit
from taskqueue.web.tokens import Right

#: orders that are shown, and for how many seconds after their end
ORDERS, SHOWN = 8, 600
_LEVELS = {"waiting": "", "done": "good", "refused": "bad", "lost": "bad"}


class OrderRow(msgspec.Struct, frozen=True):
    """An order and what became of it."""

    text: str
    state: str
    level: str
    answer: str
    at: int


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    queues: list[QueueRow]
    hosts: list[HostView]
    orders: list[OrderRow]


def fleet(visit: Visit) -> Response:
    """The page."""
    visit.caller.must(Right.READ_FLEET)
    try:
        moment = visit.board.moment()
        shown = Fleet(
            queues=queue_rows(visit.board, moment),
            hosts=[host for host in host_views(moment) if host.pools or not host.workers],
            orders=[_row(one) for one in operations.latest(visit.app, limit=ORDERS) if _recent(one, moment.now)],
        )
    except BrokerUnavailable as error:
        return visit.away("fleet.html", "/fleet", error)
    return visit.show("fleet.html", section="/fleet", live="samples", fleet=shown)


def queue_pause(visit: Visit) -> Response:
    """Pause a queue for the whole fleet."""
    visit.caller.must(Right.CHANGE_FLEET)
    name = visit.form.get("queue", "")
    new = queues.pause(visit.app, name, by=visit.desk.by)
    visit.board.forget()
    return visit.done(f"Queue {name} is paused." if new else f"Queue {name} was paused already.", "/fleet")


def queue_resume(visit: Visit) -> Response:
    """Let it go on."""
    visit.caller.must(Right.CHANGE_FLEET)
    name = visit.form.get("queue", "")
    was = queues.resume(visit.app, name)
    visit.board.forget()
    return visit.done(f"Queue {name} goes on." if was else f"Queue {name} was not paused.", "/fleet")


def order(visit: Visit) -> Response:
    """Leave an order for a host's supervisor; what came of it is on the page within a second or two."""
    visit.caller.must(Right.CHANGE_FLEET)
    command = visit.form.get("command", "")
    if command not in get_args(Command):
        raise InvalidArguments(f"{command[:80]!r} is no order; known: {', '.join(get_args(Command))}")
    left = operations.order(
        visit.app,
        visit.form.get("host", ""),
        cast("Command", command),
        target=visit.form.get("target") or None,
        workers=_workers(visit.form.get("workers")),
        by=visit.desk.by,
    )
    visit.board.forget()
    return visit.done(f"{_words(left)}: said to {left.host}.", "/fleet")


def _workers(said: str | None) -> int | None:
    if said is None:
        return None
    if not said.isdecimal() or len(said) > 4:
        raise InvalidArguments(f"{said[:80]!r} is no number of workers; write 0 to 1000")
    return int(said)


def _words(one: Order) -> str:
    what = f"pool {one.target}" if one.target else f"host {one.host}"
    if one.command == "scale":
        return f"Scale {what} to {count(one.workers or 0, 'worker')}"
    return f"{one.command.capitalize()} {what}"


def _row(one: Order) -> OrderRow:
    text = _words(one) + (f" on {one.host}" if one.target else "")
    return OrderRow(text, one.state, _LEVELS[one.state], one.answer, one.created_at)


def _recent(one: Order, now: int) -> bool:
    return one.ended_at is None or now - one.ended_at < SHOWN * 1_000_000
