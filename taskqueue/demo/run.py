"""The demo, from an empty folder to what its task log says; what happens on the way is in `story`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from taskqueue import settings
from taskqueue.app import App
from taskqueue.demo import summary
from taskqueue.demo.files import Tree
from taskqueue.demo.fleet import Fleet, control_socket
from taskqueue.demo.screen import Screen
from taskqueue.demo.story import Orders, Story, Told
from taskqueue.demo.summary import Summary

CONFIG = """\
# A demo's own configuration: taskqueue --config THIS_FILE log list
[app]
modules = ["taskqueue.demo.tasks"]

[brokers.main]
url = "sqlite:///var/taskqueue.db"

[queues.default]
workers = {workers}
timeout = "1h"

[supervisor]
control_socket = {control}
grace = "5s"
exit_when = "any"
"""
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Result(msgspec.Struct, frozen=True):
    """What the task log says, what happened on the way, and the processes that each worker's place had."""

    summary: Summary
    told: Told
    workers: dict[str, list[int]]


class Demo:
    """One demo of a tree's files, with its store in the empty folder `place`."""

    def __init__(self, tree: Tree, files: list[str], place: Path, *, workers: int, screen: Screen) -> None:
        self._tree = tree
        self._files = files
        self._workers = workers
        self._screen = screen
        (place / "config").mkdir(parents=True)
        (place / "var").mkdir()
        self.config = place / "config" / "taskqueue.toml"
        self._control = control_socket(place)
        self._configure(workers)
        self._app = App(settings.load(self.config))
        self._fleet = Fleet(self.config, self._control, place / "supervisor.log")

    def run(self) -> Result:
        """Run it to its end. INT, TERM and HUP raise KeyboardInterrupt, and leave no process behind."""
        story = Story(self._app, self._fleet, self._screen, tree=self._tree, files=self._files)
        with closing(self._app):
            with _only_noted() as orders, self._fleet, self._screen.showing(len(self._files)):
                told = story.tell(self._workers, configure=self._configure, orders=orders)
            found = summary.summarise(self._app.dispatcher.task_log, told.parent, self._tree, self._files, told.paused)
        return Result(found, told, dict(self._fleet.history))

    def _configure(self, workers: int) -> None:
        # A TOML text is written as a JSON one is.
        control = msgspec.json.encode(str(self._control)).decode()
        self.config.write_text(CONFIG.format(workers=workers, control=control))


@contextmanager
def _only_noted() -> Iterator[Orders]:
    """Inside, what would end this process is only noted: the story ends at a place where every process is known."""
    orders = Orders()
    before = {number: signal.signal(number, orders.note) for number in ENDS}
    try:
        yield orders
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
