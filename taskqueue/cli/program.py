"""The program: its commands by name, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from taskqueue import __version__
from taskqueue.cli import failures, names
from taskqueue.cli.command import Group
from taskqueue.cli.session import Session

_PACKAGE = "taskqueue.cli"
COMMANDS = {
    "init": (f"{_PACKAGE}.init:command", "Create or upgrade the tables of every store."),
    "check": (f"{_PACKAGE}.check:command", "Validate the configuration, import the modules, connect the stores."),
    "worker": (f"{_PACKAGE}.worker:command", "Run tasks: one worker, without a supervisor."),
    "enqueue": (f"{_PACKAGE}.enqueue:command", "Enqueue a task by its name."),
    "run": (f"{_PACKAGE}.run:command", "Run a task here and now, without a queue."),
    "queues": (f"{_PACKAGE}.queues:command", "How full the queues are; pause and resume them."),
    "hosts": (f"{_PACKAGE}.hosts:command", "What the hosts' supervisors do; tell them what to do."),
    "log": (f"{_PACKAGE}.log:command", "What became of tasks: list, show, why, cancel, retry, ..."),
    "stuck": (f"{_PACKAGE}.stuck:command", "Tasks that nobody works on any more; bring them back."),
    "move": (f"{_PACKAGE}.move:command", "Move a queue's messages to another broker."),
    "doctor": (f"{_PACKAGE}.doctor:command", "What is wrong, and what to do about it."),
    "keeper": (f"{_PACKAGE}.keeper:command", "Do the chores: give back, push, purge."),
    "web": (f"{_PACKAGE}.web:command", "Serve the HTTP API, the metrics and the dashboard."),
    "demo": ("taskqueue.demo.cli:command", "See it work on the files of a folder."),
}


class Program(Group):
    """All commands."""

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        """As click does it; `--help` and `--version` print here."""
        with failures.reader_watched():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was said."""
        with failures.reader_watched():
            return super().invoke(ctx)


def run(args: Sequence[str], *, ending: bool = False) -> int:
    """Run one command line; its exit code. Whatever goes wrong becomes a line on stderr (see `failures`).

    `ending`: the process ends with it.
    """
    session = Session()
    session.ending = ending
    with failures.told(session) as outcome:
        names.check()
        code = program().main(list(args), prog_name="taskqueue", standalone_mode=False, obj=session)
        outcome.code = code if isinstance(code, int) else 0
    return outcome.code


def program() -> Group:
    """All commands."""
    group = Program(
        "taskqueue",
        commands_at=COMMANDS,
        help="A task queue that loses nothing and runs nothing twice at once.",
        examples=(
            ("taskqueue init", "once"),
            ("taskqueue worker", "serve all queues, in one shell"),
            ("taskqueue enqueue shop.tasks:mail to=ann", "in another"),
            ("taskqueue log list", "see what became of it"),
        ),
    )
    return click.version_option(__version__, message="%(prog)s %(version)s")(group)
