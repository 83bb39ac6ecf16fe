"""The program: its commands by name, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

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
    "log": (f"{_PACKAGE}.log:command", "What became of tasks: list, show, why, cancel, retry, ..."),
    "stuck": (f"{_PACKAGE}.stuck:command", "Tasks that nobody works on any more; bring them back."),
    "doctor": (f"{_PACKAGE}.doctor:command", "What is wrong, and what to do about it."),
    "keeper": (f"{_PACKAGE}.keeper:command", "Do the chores: give back, push, purge."),
    "demo": ("taskqueue.demo.cli:command", "See it work on the files of a folder."),
}


def run(args: Sequence[str]) -> int:
    """Run one command line; its exit code. Whatever goes wrong becomes a line on stderr (see `failures`)."""
    session = Session()
    with failures.told(session) as outcome:
        names.check()
        code = program().main(list(args), prog_name="taskqueue", standalone_mode=False, obj=session)
        outcome.code = code if isinstance(code, int) else 0
    return outcome.code


def program() -> Group:
    """All commands that are there."""
    there = {name: place for name, place in COMMANDS.items() if name != "demo" or _has_demo()}
    group = Group(
        "taskqueue",
        commands_at=there,
        help="A task queue that loses nothing and runs nothing twice at once.",
        examples=(
            ("taskqueue init", "once"),
            ("taskqueue worker", "serve all queues, in one shell"),
            ("taskqueue enqueue shop.tasks:mail to=ann", "in another"),
            ("taskqueue log list", "see what became of it"),
        ),
    )
    return click.version_option(__version__, message="%(prog)s %(version)s")(group)


def _has_demo() -> bool:
    try:
        return find_spec("taskqueue.demo.cli") is not None
    except ModuleNotFoundError:
        return False
