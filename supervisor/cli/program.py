"""The program: its commands by name, and what becomes of errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from supervisor.cli.asking import answered
from supervisor.client import Unreachable
from taskqueue import __version__
from taskqueue.cli import failures, names
from taskqueue.cli.command import Group
from taskqueue.cli.program import Program
from taskqueue.cli.session import Session
from taskqueue.errors import ConfigurationError

NAME = "supervisor"
_PACKAGE = "supervisor.cli"
COMMANDS = {
    "run": (f"{_PACKAGE}.run:command", "Start the supervisor here: it forks workers and keeps them alive."),
    "status": (f"{_PACKAGE}.status:command", "What every worker is doing."),
    "pause": (f"{_PACKAGE}.orders:pause", "Let no worker, or none of a pool, start a task."),
    "resume": (f"{_PACKAGE}.orders:resume", "Let them go on."),
    "scale": (f"{_PACKAGE}.orders:scale", "Change how many workers a pool has."),
    "restart": (f"{_PACKAGE}.orders:restart", "Replace workers one after the other, each after its task."),
    "reload": (f"{_PACKAGE}.orders:reload", "Read the configuration again, and move only the difference."),
    "stop": (f"{_PACKAGE}.stop:command", "End the supervisor and its workers, after their tasks."),
    "ping": (f"{_PACKAGE}.ping:command", "Whether it is alive; for probes."),
    "init": (f"{_PACKAGE}.init:command", "Write a first configuration and a first task."),
    "check": (f"{_PACKAGE}.check:command", "Validate the configuration, and say what would run."),
}


def run(args: Sequence[str]) -> int:
    """Run one command line; its exit code. Whatever goes wrong becomes a line on stderr (see `taskqueue.cli`)."""
    session = Session()
    with failures.told(session, program=NAME) as outcome:
        names.check()
        _check_platform()
        code = program().main(list(args), prog_name=NAME, standalone_mode=False, obj=session)
        outcome.code = code if isinstance(code, int) else 0
    return outcome.code


def tell(error: Unreachable) -> int:
    """Tell of an error that came up before there was a program; the exit code."""
    with failures.told(Session(), program=NAME) as outcome:
        _raise(error)
    return outcome.code


def _raise(error: Unreachable) -> None:
    with answered():
        raise error


def _check_platform() -> None:
    if sys.platform == "win32":
        raise ConfigurationError(
            "the supervisor needs Linux or macOS; on Windows applications can enqueue and wait, and tests can run "
            "tasks at once with memory://"
        )


def program() -> Group:
    """All commands."""
    group = Program(
        NAME,
        commands_at=COMMANDS,
        help="One supervisor per host: it keeps the workers of every queue alive, as the configuration says.",
        examples=(
            ("supervisor run", "in one shell, or by systemd"),
            ("supervisor status --watch", "in another"),
            ("supervisor scale mail 8", "more workers, now"),
            ("supervisor pause", "start no task on this host"),
            ("supervisor stop", "after the tasks that run"),
        ),
    )
    return click.version_option(__version__, message="%(prog)s %(version)s")(group)
