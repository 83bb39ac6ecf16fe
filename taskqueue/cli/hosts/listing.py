"""`taskqueue hosts`: what they do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from taskqueue.cli import terminal
from taskqueue.cli.command import ListingGroup
from taskqueue.cli.session import Session
from taskqueue.cli.terminal import Cell, Styled
from taskqueue.operations import hosts
from taskqueue.operations.hosts import Host
from taskqueue.operations.times import rfc3339, seconds
from taskqueue.snapshot import Pause, Snapshot

COLUMNS = ("Host", "State", "Workers", "Running", "Heard", "Version", "Paused", "Problems")
_ORDERS = "taskqueue.cli.hosts.orders"


@click.command(
    "hosts",
    cls=ListingGroup,
    commands_at={
        "pause": (f"{_ORDERS}:pause", "Let a host, a pool or a worker there start no task."),
        "resume": (f"{_ORDERS}:resume", "Let them go on."),
        "scale": (f"{_ORDERS}:scale", "Set how many workers a pool has there."),
        "restart": (f"{_ORDERS}:restart", "Replace workers there one after the other."),
        "orders": (f"{_ORDERS}:orders", "Who told them what, and what came of it."),
    },
    examples=(
        ("taskqueue hosts", "what they do"),
        ("taskqueue hosts --json", "for programs: all that each supervisor says, its workers too"),
        ("taskqueue hosts scale red mail 8", "eight workers for mail, on the host red"),
        ("taskqueue hosts pause red", "all its workers"),
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """Show all hosts that have a supervisor: whether it is alive, its workers, and what is paused there.

    Supervisors tell of themselves every 10 seconds. One that was stopped is not shown; one that was not heard of any
    more is, for a day, by its last word. `supervisor status` shows every worker of one host.
    """
    if context.invoked_subcommand is not None:
        return
    found = hosts.hosts(context.find_object(Session).app)  # type: ignore[union-attr]  # every context has one
    if as_json:
        terminal.json([_plain(host) for host in found])
    elif found or not terminal.at_terminal():
        versions = {host.snapshot.version for host in found if host.snapshot is not None}
        # As in a rolling deploy; where all are the same, nobody needs to see it.
        rows = [_row(host, version=len(versions) > 1 or not terminal.at_terminal()) for host in found]
        terminal.table(COLUMNS, rows, right=COLUMNS[2:4], wide=("Paused", "Problems"))
    else:
        terminal.note("no supervisor was heard of: `supervisor run` starts one")


def _row(host: Host, *, version: bool) -> list[Cell]:
    heard = f"{seconds(host.silent)} ago"
    workers, running, paused, problems = _facts(host.snapshot)
    short = host.alive and host.snapshot is not None and host.snapshot.degraded
    return [
        host.name,
        _state(host),
        Styled(workers, "bold red") if short else workers,
        running,
        heard if host.alive else Styled(heard, "bold red"),
        host.snapshot.version if version and host.snapshot is not None else "",
        Styled(paused, "yellow"),
        Styled(problems, "bold red"),
    ]


def _facts(said: Snapshot | None) -> tuple[str, str, str, str]:
    """Workers that are up, those that run a task, what is paused, and what somebody should look at."""
    if said is None:
        return "", "", "", "its last word cannot be read: it is of another release"
    pools = [pool for pool in said.pools if pool.kind in ("queue", "pool")]
    running = sum(slot.activity == "running" for pool in pools for slot in pool.slots)
    up = f"{sum(pool.up for pool in pools)}/{sum(pool.wanted for pool in pools)}"
    return up, str(running), ", ".join(dict.fromkeys(_paused(said))), "; ".join(said.problems)


def _state(host: Host) -> Cell:
    if not host.alive:
        return Styled("gone", "bold red")
    return host.snapshot.state if host.snapshot is not None else ""


def _paused(said: Snapshot) -> Iterator[str]:
    """What is paused there, each with the name by which it is resumed, and by whom."""
    yield from (_by("all", pause) for pause in said.paused)
    for pool in said.pools:
        yield from (_by("a queue" if pause.scope == "queue" else pool.name, pause) for pause in pool.paused)
        yield from (_by(slot.label, pause) for slot in pool.slots for pause in slot.paused)


def _by(what: str, pause: Pause) -> str:
    return f"{what} by {pause.by}"


def _plain(host: Host) -> dict[str, Any]:
    return {
        "host": host.name,
        "alive": host.alive,
        "seen": rfc3339(host.seen),
        "silent_seconds": host.silent,
        "snapshot": msgspec.to_builtins(host.snapshot),
    }
