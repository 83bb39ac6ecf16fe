"""A queue that moves: one project with two brokers, `old` and `new`, and one task log that both of them share."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import msgspec

from taskqueue.app import App
from taskqueue.settings import load
from tests.support import sqs
from tests.support.servers import in_folder

CONFIG = """
[app]
modules = ["tests.support.tasks"]
[brokers.old]
{old}
[brokers.new]
{new}
[task_log]
{log}
[queue_defaults]
lease = {lease}
[queues.default]
broker = "old"
"""
SWITCHED = "queues.default.broker=new"


class Route(msgspec.Struct, frozen=True):
    """Kinds of store: where from, where to, and which of the two (or which third one) has the task log."""

    old: str
    new: str
    log: str

    def __str__(self) -> str:
        return f"{self.old}-{self.new}-log-{self.log}"


#: each way in which source, destination and task log can stand to each other
ROUTES = [
    Route("sqlite", "postgresql", "postgresql"),
    Route("postgresql", "sqs", "postgresql"),
    Route("sqs", "postgresql", "postgresql"),
    Route("mariadb", "postgresql", "sqlite"),
    Route("sqlite", "mariadb", "sqlite"),
    Route("mariadb", "sqs", "postgresql"),
]


def store(kind: str, folder: Path) -> str:
    """The lines of its table."""
    if kind == "sqs":
        prefix = f"m{zlib.crc32(str(folder).encode()):08x}_"
        return f'url = "sqs://{sqs.REGION}"\nendpoint_url = "{sqs.endpoint()}"\nprefix = "{prefix}"\nwait_time = 1'
    url = f"sqlite:///{folder}/tasks.db" if kind == "sqlite" else in_folder(kind, folder)
    return f'url = "{url}"'


class Removal:
    """The project, seen with the old configuration and with the new one."""

    def __init__(self, folder: Path, route: Route, *, lease: float = 3) -> None:
        self.folder, self.config = folder, folder / "taskqueue.toml"
        self.ledger = folder / "ledger"
        self.ledger.touch()
        stores = {"old": store(route.old, folder), "new": store(route.new, folder), "log": store(route.log, folder)}
        self.config.write_text(CONFIG.format(**stores, lease=lease))
        self.old = App(load(self.config))
        self.new = App(load(self.config, sets=[SWITCHED]))
        for app in (self.old, self.new):
            app.dispatcher.initialize()

    @property
    def source(self):
        return self.old.queues["default"]

    @property
    def destination(self):
        return self.new.queues["default"]

    def starts(self) -> dict[str, int]:
        """How often each task was started."""
        found: dict[str, int] = {}
        for line in self.ledger.read_text().splitlines():
            what, task_id, *_ = line.split()
            if what == "start":
                found[task_id] = found.get(task_id, 0) + 1
        return found

    def never_two_at_once(self) -> None:
        """P2: between a task's start and its end nobody else starts it."""
        open_now: set[str] = set()
        for line in self.ledger.read_text().splitlines():
            what, task_id, *_ = line.split()
            if what == "start":
                assert task_id not in open_now, line
                open_now.add(task_id)
            else:
                open_now.remove(task_id)

    def change_log(self, statement: str) -> None:
        """Do something to the log's file that no command does."""
        with closing(sqlite3.connect(self.folder / "tasks.db")) as connection, connection:
            connection.execute(statement)

    def close(self) -> None:
        for app in (self.old, self.new):
            app.dispatcher.close()
            app.close()
