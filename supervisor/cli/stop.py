"""`supervisor stop`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import click

from supervisor.cli.asking import Master, Unanswered, ask, talks
from supervisor.cli.departure import Departure
from supervisor.cli.status import snapshot_of
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.parameters import Duration
from taskqueue.cli.session import Session
from taskqueue.operations.times import seconds
from taskqueue.operations.words import count
from taskqueue.visible import visible

#: how often a person is told what is waited for, in seconds
STEP = 0.5


@click.command(
    "stop",
    cls=Command,
    examples=(
        ("supervisor stop", "as TERM does, and wait until all is gone"),
        ("supervisor stop --timeout 1m", "exit code 1 if it takes longer"),
        ("supervisor stop --now", "interrupt the tasks; they go back to their queues"),
        ("supervisor stop --no-wait", "give the order and go"),
    ),
)
@click.option("--now", is_flag=True, help="Do not let the tasks end that run.")
@click.option("--wait/--no-wait", default=True, help="Whether to wait until the supervisor is gone.", show_default=True)
@click.option(
    "--timeout",
    metavar="DURATION",
    type=Duration(),
    help="How long to wait; else as long as [supervisor] grace lets it.",
)
@talks
@click.pass_obj
def command(session: Session, *, socket: str | None, now: bool, wait: bool, timeout: float | None) -> None:
    """End the supervisor and its workers.

    Each worker ends its task, for [supervisor] grace at the longest, and gives back what it has not started. The exit
    code is 3 if no supervisor is running.
    """
    master = Master(session, socket)
    with master.connected() as connection, Departure(connection) as departure:
        answer = ask(connection, "stop", now=now)
        if not wait:
            terminal.line(str(answer.get("message") or "stopping"))
            return
        limit = math.inf if timeout is None else timeout
        if not _gone(departure, master, within=limit):
            raise Unanswered(
                f"{master.path}: the supervisor is still there after {limit:g} s, and still stopping; "
                "`supervisor status` shows what it waits for, `supervisor stop --now` ends it"
            )
    terminal.line("stopped")


def _gone(departure: Departure, master: Master, *, within: float) -> bool:
    """Wait, and let who sits there see what for."""
    deadline = monotonic() + within
    with _shown() as show:
        while not departure.wait(min(STEP, max(0.0, deadline - monotonic()))):
            if monotonic() >= deadline:
                return False
            show(master)
    return True


@contextmanager
def _shown() -> Iterator[Callable[[Master], None]]:
    """A line on stderr, if a person watches, that is kept up to date by what it is called with."""
    if not sys.stderr.isatty():
        yield lambda _master: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True, highlight=False).status(Text("stopping")) as line:
        yield lambda master: line.update(Text(visible(_waited_for(master))))


def _waited_for(master: Master) -> str:
    try:
        snapshot = snapshot_of(master.ask("status"))
    except Unanswered:  # it is about to go
        return "stopping"
    left = [slot for pool in snapshot.pools if pool.works for slot in pool.slots if slot.pid]
    longest = max(left, key=lambda slot: slot.task_age or 0.0, default=None)
    if longest is None or longest.task_age is None:
        return f"stopping: {count(len(left), 'worker')} left"
    task = f"{longest.label} has run {longest.task_name} for {seconds(longest.task_age)}"
    return f"stopping: {count(len(left), 'worker')} left; {task}"
