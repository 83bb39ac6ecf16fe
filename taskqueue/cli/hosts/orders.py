"""`taskqueue hosts pause`, `resume`, `scale`, `restart`, by way of the store; and `orders`, who said what."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.session import Session, me
from taskqueue.cli.terminal import Cell, Styled
from taskqueue.errors import TaskQueueError
from taskqueue.operations import hosts
from taskqueue.operations.hosts import Order
from taskqueue.operations.times import local, rfc3339

#: for how long an answer is waited for, in seconds: longer than an order may take to be lost
PATIENCE = 70.0
COLUMNS = ("Given", "Host", "Order", "By", "State", "Answer")
STYLES = {"waiting": "cyan", "done": "green", "refused": "bold red", "lost": "bold red"}

_host = click.argument("host")
_target = click.argument("target", metavar="[POOL[/INDEX]]", required=False)


@click.command(
    "pause",
    cls=Command,
    examples=(
        ("taskqueue hosts pause red", "all workers of the host red"),
        ("taskqueue hosts pause red mail", "those of a pool there"),
        ("taskqueue hosts pause red mail/0", "one worker"),
    ),
)
@_host
@_target
@click.pass_obj
def pause(session: Session, *, host: str, target: str | None) -> None:
    """Let workers of HOST start no task: all of them, or those of a pool, or one.

    Tasks that run go on to their end. A queue is paused on all hosts by `taskqueue queues pause`.
    """
    _order(session, host, "pause", target=target)


@click.command("resume", cls=Command, examples=(("taskqueue hosts resume red mail", "what was paused as `red mail`"),))
@_host
@_target
@click.pass_obj
def resume(session: Session, *, host: str, target: str | None) -> None:
    """Take a pause back: that of HOST, or of a pool, or of one worker there. The others stay."""
    _order(session, host, "resume", target=target)


@click.command("scale", cls=Command, examples=(("taskqueue hosts scale red mail 8", "eight workers for mail there"),))
@_host
@click.argument("pool")
@click.argument("workers", metavar="N", type=click.IntRange(min=0))
@click.pass_obj
def scale(session: Session, *, host: str, pool: str, workers: int) -> None:
    """Let a pool of HOST have N workers, from now on.

    Those that are too many leave after their task. It holds until the configuration's own number changes, or the
    supervisor is started anew.
    """
    _order(session, host, "scale", target=pool, workers=workers)


@click.command("restart", cls=Command, examples=(("taskqueue hosts restart red mail", "the workers of a pool there"),))
@_host
@_target
@click.pass_obj
def restart(session: Session, *, host: str, target: str | None) -> None:
    """Replace workers of HOST one after the other, each when its task has ended, so that most are always at work."""
    _order(session, host, "restart", target=target)


@click.command("orders", cls=Command, examples=(("taskqueue hosts orders --json", "for programs"),))
@click.option("--limit", metavar="N", type=click.IntRange(1, 1000), default=50, help="How many, 50 if not said.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def orders(session: Session, *, limit: int, as_json: bool) -> None:
    """Show the orders of the last day, the newest first: who told whom what, and what came of it."""
    found = hosts.latest(session.app, limit=limit)
    if as_json:
        terminal.json([_plain(order) for order in found])
    elif found or not terminal.at_terminal():
        terminal.table(COLUMNS, map(_row, found), wide=("Answer",))
    else:
        terminal.note("no orders")


def _order(session: Session, host: str, command: hosts.Command, **about: Any) -> None:
    app = session.app
    given = hosts.order(app, host, command, by=me(), **about)
    ended = hosts.answered(app, given.id, within=PATIENCE)
    if ended.state != "done":
        raise TaskQueueError(f"{host}: {ended.answer or 'no answer yet: `taskqueue hosts orders` tells of it'}")
    terminal.line(f"{host}: {ended.answer}")


def _row(order: Order) -> list[Cell]:
    said = [order.command, order.target, order.workers]
    return [
        local(order.created_at),
        order.host,
        " ".join(str(word) for word in said if word is not None),
        order.by,
        Styled(order.state, STYLES[order.state]),
        order.answer,
    ]


def _plain(order: Order) -> dict[str, Any]:
    times = {name: rfc3339(getattr(order, name)) for name in ("created_at", "ended_at")}
    return msgspec.structs.asdict(order) | times
