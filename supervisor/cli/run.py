"""`supervisor run`."""

from __future__ import annotations

import importlib

import click

from taskqueue.cli.command import Command
from taskqueue.cli.session import Session


@click.command(
    "run",
    cls=Command,
    examples=(
        ("supervisor run", "with config/taskqueue.toml, until TERM or Ctrl-C"),
        ("supervisor run --config /etc/shop/taskqueue.toml", "another file"),
        ("supervisor run --set queues.mail.workers=8", "one value replaced"),
    ),
)
@click.pass_obj
def command(session: Session) -> int:
    """Fork workers as the configuration says, and keep them alive.

    TERM, INT and QUIT end it when the running tasks have ended, a second TERM or INT at once. HUP reads the
    configuration again. USR2 pauses all workers, CONT lets them go on.
    """
    session.talks = True
    master = importlib.import_module("supervisor.master")
    code: int = master.run(session.config, session.sets)
    return code
