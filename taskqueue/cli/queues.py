"""`taskqueue queues`: how full they are, and the fleet-wide pause."""

from __future__ import annotations

import getpass
import socket
from typing import Any

import click
import msgspec

from taskqueue.app import App
from taskqueue.cli import terminal
from taskqueue.cli.command import Command, Group
from taskqueue.cli.session import Session
from taskqueue.cli.stores import pause_of, workers_of
from taskqueue.cli.terminal import Cell, Styled
from taskqueue.cli.times import local, rfc3339, seconds
from taskqueue.database import pauses
from taskqueue.database.engine import Database
from taskqueue.database.pauses import Pause
from taskqueue.errors import ConfigurationError
from taskqueue.queue import Queue
from taskqueue.status import Status

COLUMNS = ("Queue", "Waiting", "Delayed", "Leased", "Oldest", "Workers", "Paused", "Store")


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One queue. `oldest` is how long its oldest due task has waited, in seconds."""

    queue: str
    waiting: int
    delayed: int
    leased: int
    approximate: bool
    oldest: float | None
    workers: int | None
    pause: Pause | None
    store: str


class QueuesGroup(Group):
    """Without a command of its own it lists."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, invoke_without_command=True, no_args_is_help=False, **settings)


@click.command(
    "queues",
    cls=QueuesGroup,
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
    states = [state_of(app, queue) for queue in app.queues.values()]
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
    database = _pausable(session.app, name)
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    if pauses.pause(database, name, by=by):
        terminal.line(f"{name} is paused")
    else:
        found = pauses.paused(database).get(name)
        since = f" since {local(found.at)} by {found.by}" if found else ""
        terminal.line(f"{name} was paused already{since}")


@click.command("resume", cls=Command, examples=(("taskqueue queues resume mail", "on all hosts"),))
@click.argument("name")
@click.pass_obj
def resume(session: Session, name: str) -> None:
    """Let workers start tasks of queue NAME again. Pauses of workers, pools and hosts are others, and stay."""
    if pauses.resume(_pausable(session.app, name), name):
        terminal.line(f"{name} goes on")
    else:
        terminal.line(f"{name} was not paused")


def state_of(app: App, queue: Queue) -> State:
    """The queue as it stands now."""
    depth = queue.broker.depth()
    workers = workers_of(app, queue)
    return State(
        queue=queue.name,
        waiting=depth.waiting,
        delayed=depth.delayed,
        leased=depth.leased,
        approximate=depth.approximate,
        oldest=oldest_waiting(app, queue) if depth.waiting else None,
        workers=None if workers is None else len(workers),
        pause=pause_of(app, queue),
        store=app.settings.brokers[app.settings.queues[queue.name].broker].name,
    )


def oldest_waiting(app: App, queue: Queue) -> float | None:
    """How long the oldest task that is due has waited, in seconds; None if none waits among the first 50."""
    now = app.clock.micros()
    page = app.task_log.search(queue=queue.name, status=Status.ENQUEUED, descending=False)
    since = [entry.due_at or entry.created_at for entry in page.entries]
    return max(((now - at) / 1e6 for at in since if at <= now), default=None)


def _pausable(app: App, name: str) -> Database:
    database = app.database_of(app.dispatcher.queue(name))
    if database is None:
        raise ConfigurationError(f"queue {name!r} is in memory: its tasks run where they are enqueued, at once")
    return database


def _row(state: State) -> list[Cell]:
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


def _plain(state: State) -> dict[str, Any]:
    paused = {"at": rfc3339(state.pause.at), "by": state.pause.by} if state.pause else None
    facts = {name: value for name, value in msgspec.structs.asdict(state).items() if name not in ("pause", "oldest")}
    return facts | {"oldest_seconds": state.oldest, "paused": paused}
