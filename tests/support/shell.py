"""The command line in this process: quick, and as a person sees it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from taskqueue import opened as apps
from taskqueue.app import App
from taskqueue.cli import program
from taskqueue.database import incarnations, stranded
from taskqueue.queue import Held
from taskqueue.task import function
from tests.support.eventually import eventually

CONFIG = """
[app]
modules = ["tests.support.errands"]
[brokers.main]
url = "sqlite:///tasks.db"
[queues.default]
[queues.other]
"""


class Ran(NamedTuple):
    """What a command line left on the screen."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line of stderr that says what went wrong."""
        (line,) = self.err.splitlines()
        assert "this is a bug" not in line
        assert "Traceback" not in line
        assert self.out == ""
        return line.removeprefix("taskqueue: ")

    @property
    def id(self) -> str:
        return self.out.split()[0]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


class Shell:
    """A folder with a configuration, in which commands are typed."""

    def __init__(self, folder: Path, *, config: str = CONFIG) -> None:
        self.folder = folder
        self.config = folder / "taskqueue.toml"
        self.config.write_text(config)
        os.environ["TASKQUEUE_CONFIG"] = str(self.config)

    @property
    def app(self) -> App:
        """The application that the commands of this process use."""
        return apps.open_app(self.config)

    def type(self, *args: str, typed: str | None = None, terminal: bool = False) -> Ran:
        """Run one command line. With `typed` somebody sits there and types that."""
        out, err = (Screen(), Screen()) if terminal else (io.StringIO(), io.StringIO())
        stdin = io.StringIO() if typed is None else Screen(typed)
        before, sys.stdin = sys.stdin, stdin
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = program.run(args)
        finally:
            sys.stdin = before
        return Ran(code, out.getvalue(), err.getvalue())

    def __call__(self, *args: str, **options: Any) -> str:
        """Run one that must succeed; its output."""
        ran = self.type(*args, **options)
        assert ran.code == 0, ran
        return ran.out

    def json(self, *args: str) -> Any:
        return json.loads(self(*args, "--json"))

    def enqueue(self, *args: str) -> str:
        """The id of the new task."""
        return self("enqueue", *args).strip()

    def drain(self) -> None:
        """Let a worker run all that is due."""
        assert self.type("worker", "--drain").code == 0

    def hold(self, queue: str = "default", *, started: bool = True, lease: float = 60) -> Held:
        """Take a task as a worker does that then says nothing more for `lease` seconds; return when it has passed."""
        found = self.app.queues[queue]
        database = found.database or found.log_database
        assert database is not None
        incarnations.register(
            database, "life-1", slot="host:4711", host="host", pid=1, kind="worker", queues=[queue], lease=lease
        )
        found.broker.owner = "life-1"
        (held,) = found.turn([], limit=1, lease=lease, worker="host:4711").held
        if started:
            now = self.app.clock.micros()
            found.task_log.start(held.claim.id, fence=held.claim.fence, attempt=held.claim.attempts + 1, at=now)
        if lease < 1:
            eventually(lambda: stranded.find(database, [queue], limit=1), what="the lease's end")
        return held

    def forget(self) -> None:
        """Let the next command read the configuration anew, as another process would."""
        for key in [key for key in apps._apps if key[0].is_relative_to(self.folder)]:
            apps._apps.pop(key).close()

    def forget_all(self) -> None:
        """The same for every configuration that commands of this process have read."""
        for key in list(apps._apps):
            apps._apps.pop(key).close()

    def change(self, statement: str, *values: object) -> None:
        """Do something to the database file that no command does."""
        with contextlib.closing(sqlite3.connect(self.folder / "tasks.db")) as connection, connection:
            connection.execute(statement, values)


@contextmanager
def shell(folder: Path, **options: Any) -> Iterator[Shell]:
    """A shell that leaves nothing of its commands in this process."""
    root, tasks = logging.getLogger(), logging.getLogger("taskqueue.task")
    before = (list(root.handlers), root.level, tasks.level, list(sys.path), function._provider, dict(os.environ))
    opened = Shell(folder, **options)
    try:
        yield opened
    finally:
        opened.forget()
        root.handlers[:], level, quiet, sys.path[:], provider, environ = before
        root.setLevel(level)
        tasks.setLevel(quiet)
        function.set_default_dispatcher(provider)
        os.environ.clear()
        os.environ.update(environ)
