"""A folder in which the command is typed, as a process of its own each time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.support import forked, planted
from tests.support.project import REPOSITORY

ADD = "tests.support.errands:add"
HEAD = '[app]\nmodules = ["tests.support.errands"]\n'
BROKER = '[brokers.main]\nurl = "sqlite:///tasks.db"\n'
QUEUE = "[queues.default]\n"
GOOD = HEAD + BROKER + QUEUE
SECRET = planted.PASSWORD
#: what a user who is not root cannot do, root cannot either, when the kernel no longer overrides permissions for it
AS_ANYBODY = "import ctypes; [ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) for capability in (1, 2)]"
ON_A_FULL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))"
THEN = "; import os, sys; os.execv(sys.executable, [sys.executable, '-m', 'taskqueue', *sys.argv[1:]])"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Folder:
    """A folder, a configuration in it, and commands that are typed there."""

    def __init__(self, folder: Path, *, program: str = "taskqueue") -> None:
        self.path = folder
        self.program = program
        self.database = folder / "tasks.db"
        self.configure(GOOD)

    def configure(self, text: str) -> None:
        (self.path / "taskqueue.toml").write_text(text)

    @property
    def _environment(self) -> dict[str, str]:
        return dict(os.environ, PYTHONPATH=str(REPOSITORY), TASKQUEUE_CONFIG="taskqueue.toml")

    def start(self, *args: str, first: str = "", **options: Any) -> subprocess.Popen[str]:
        how = ["-c", first + THEN] if first else ["-m", self.program]
        return subprocess.Popen(
            [sys.executable, *how, *args],
            cwd=self.path,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *args: str, first: str = "") -> Ended:
        if first:
            with self.start(*args, first=first) as process:
                out, err = process.communicate(timeout=30)
            return Ended(process.returncode, out, err)
        return Ended(*forked.run(self.program, *args, environment=self._environment, cwd=self.path))

    def refused(self, *args: str, code: int, first: str = "") -> str:
        """The one line that says what is wrong."""
        ended = self.run(*args, first=first)
        assert (ended.code, ended.out) == (code, ""), ended
        lines = ended.err.splitlines()
        assert len(lines) == 1, ended.err
        assert lines[0].startswith(f"{self.program}: ")
        assert SECRET not in lines[0]
        assert "this is a bug" not in lines[0]
        return lines[0].removeprefix(f"{self.program}: ")

    def add(self) -> str:
        ended = self.run("enqueue", ADD, "a=1")
        assert (ended.code, ended.err) == (0, ""), ended
        return ended.out.strip()

    def ids(self) -> list[str]:
        ended = self.run("log", "list")
        assert (ended.code, ended.err) == (0, ""), ended
        return [line.split("\t")[0] for line in ended.out.splitlines()[1:]]

    def change(self, *statements: str) -> None:
        with contextlib.closing(sqlite3.connect(self.database)) as connection, connection:
            for statement in statements:
                connection.execute(statement)
