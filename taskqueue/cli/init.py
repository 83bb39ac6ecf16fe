"""`taskqueue init`."""

from __future__ import annotations

import click

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.session import Session
from taskqueue.masking import mask_url


@click.command(
    "init",
    cls=Command,
    examples=(
        ("taskqueue init", "with config/taskqueue.toml"),
        ("taskqueue init --config /etc/shop/taskqueue.toml", "with another file"),
    ),
)
@click.pass_obj
def command(session: Session) -> None:
    """Create or upgrade the tables of every store.

    Touches nothing else, may be repeated, and may run on several hosts at once. SQLite files are created at their
    first use even without it.
    """
    app = session.app
    app.dispatcher.initialize()
    for name, queue in app.settings.queues.items():
        terminal.line(f"queue {name}: {mask_url(app.settings.brokers[queue.broker].url)}")
    terminal.line(f"task log: {mask_url(app.settings.task_log.url)}")
