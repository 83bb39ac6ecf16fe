"""`taskqueue queues`: how full they are, and the fleet-wide pause."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from taskqueue.cli import terminal
from taskqueue.cli.command import Command, ListingGroup
from taskqueue.cli.session import Session, me
from taskqueue.cli.terminal import Cell, Styled
from taskqueue.operations import queues
from taskqueue.operations.queues import QueueState
from taskqueue.operations.stores import pause_of
from taskqueue.operations.times import local, rfc3339, seconds

COLUMNS = ("Queue", "Waiting", "Delayed", "Leased", "Oldest", "Workers", "Paused", "Store")


@click.command(
    "queues",
    cls=ListingGroup,
    commands_at={
        "pause": ("taskqueue.cli.queues:pause", "Let no worker of the fleet start a task of a queue."),
        "resume": ("taskqueue.cli.queues:resume", "Let them go on."),
    },
    examples=(
        ("taskqueue queues", "how full they are"),
        ("taskqueue queues --json", "for programs"),
        ("taskqueue queues pause mail", "on all hosts; running tasks end"),
        ("taskqueue queues resume mail", "go on"),
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """Show how full the queues are, how long the oldest task waits, who serves them, and which are paused."""
    if context.invoked_subcommand is not None:
        return
    app = context.find_object(Session).app  # type: ignore[union-attr]  # every context has one
    states = queues.states(app)
    if as_json:
        terminal.json([_plain(state) for state in states])
    else:
        terminal.table(COLUMNS, map(_row, states), right=COLUMNS[1:6], wide=("Store",))
        if terminal.at_terminal() and any(state.approximate for state in states):
            terminal.note("~: about, as far as its service knows")


@click.command("pause", cls=Command, examples=(("taskqueue queues pause mail", "on all hosts"),))
@click.argument("name")
@click.pass_obj
def pause(session: Session, name: str) -> None:
    """Let no worker of the fleet start a task of queue NAME.

    Tasks that run go on to their end; what was leased and not started goes back. It holds until it is taken back.
    """
    app = session.app
    if queues.pause(app, name, by=me()):
        terminal.line(f"{name} is paused")
    else:
        found = pause_of(app, app.dispatcher.queue(name))
        since = f" since {local(found.at)} by {found.by}" if found else ""
        terminal.line(f"{name} was paused already{since}")


@click.command("resume", cls=Command, examples=(("taskqueue queues resume mail", "on all hosts"),))
@click.argument("name")
@click.pass_obj
def resume(session: Session, name: str) -> None:
    """Let workers start tasks of queue NAME again. Pauses of workers, pools and hosts are others, and stay."""
    if queues.resume(session.app, name):
        terminal.line(f"{name} goes on")
    else:
        terminal.line(f"{name} was not paused")


def _row(state: QueueState) -> list[Cell]:
    about = "~" if state.approximate else ""
    counts = [
        f"{about}{n:,}" if terminal.at_terminal() else str(n) for n in (state.waiting, state.delayed, state.leased)
    ]
    paused = f"{local(state.pause.at)} by {state.pause.by}" if state.pause else ""
    workers = "" if state.workers is None else str(state.workers)
    unserved = state.workers == 0 and state.waiting > 0
    return [
        state.queue,
        *counts,
        "" if state.oldest is None else seconds(state.oldest),
        Styled(workers, "bold red") if unserved else workers,
        Styled(paused, "yellow"),
        state.store,
    ]


def _plain(state: QueueState) -> dict[str, Any]:
    paused = {"at": rfc3339(state.pause.at), "by": state.pause.by} if state.pause else None
    facts = {name: value for name, value in msgspec.structs.asdict(state).items() if name not in ("pause", "oldest")}
    return facts | {"oldest_seconds": state.oldest, "paused": paused}
