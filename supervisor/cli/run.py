"""`supervisor run`."""

from __future__ import annotations

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
        ("supervisor run --dev", "while you write tasks"),
    ),
)
@click.option("--dev", is_flag=True, help="One worker a pool; start anew when a source file changes.")
@click.pass_obj
def command(session: Session, *, dev: bool) -> int:
    """Fork workers as the configuration says, and keep them alive.

    TERM, INT and QUIT end it when the running tasks have ended, a second TERM or INT at once. HUP reads the
    configuration again. USR2 pauses all workers, CONT lets them go on.
    """
    if dev:
        from supervisor.dev import run

        level = ("--log-level", session.level) if session.level else ()
        return run(session.config, sets=session.sets, options=level)
    from supervisor.master import run as supervise

    return supervise(session.config, session.sets, level=session.level)
