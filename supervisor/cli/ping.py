"""`supervisor ping`, with everything that a command has. Plain ones are answered by `probe`, quicker."""

from __future__ import annotations

import click

from supervisor.cli.asking import Master, answered, talks
from supervisor.cli.probe import ping
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.parameters import Duration
from taskqueue.cli.session import Session


@click.command(
    "ping",
    cls=Command,
    examples=(
        ("supervisor ping", "exit code 0: alive, 3: not running, 1: no answer"),
        ("supervisor ping --socket /run/taskqueue/supervisor.sock", "quickest, for a container's probe"),
    ),
)
@click.option(
    "--timeout", metavar="DURATION", type=Duration(), default="5s", show_default=True, help="How long to wait."
)
@talks
@click.pass_obj
def command(session: Session, *, socket: str | None, timeout: float) -> None:
    """Say whether the supervisor is alive: its loop answers, though it may be paused or its database away.

    This is for probes. Whether its workers are well, `supervisor status` says.
    """
    with answered():
        terminal.line(ping(Master(session, socket).path, timeout=timeout))
