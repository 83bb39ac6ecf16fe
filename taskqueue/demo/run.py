"""The demo's story: list the folder, start workers, kill one on the way, wait for the end, ask the task log."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import msgspec

from taskqueue import settings
from taskqueue.app import App
from taskqueue.demo import summary
from taskqueue.demo.files import Tree, shown
from taskqueue.demo.screen import Screen
from taskqueue.demo.summary import Summary
from taskqueue.demo.tasks import survey
from taskqueue.demo.words import count
from taskqueue.demo.workers import Worker, Workers
from taskqueue.handle import Handle
from taskqueue.tasklog.reading import TaskLog

CONFIG = """\
# A demo's own configuration: taskqueue --config THIS_FILE log list
[app]
modules = ["taskqueue.demo.tasks"]

[brokers.main]
url = "sqlite:///var/taskqueue.db"

[queues.default]
timeout = "1h"
"""
#: seconds between two looks
TICK = 0.05
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Result(msgspec.Struct, frozen=True):
    """What the task log says, and what became of each worker."""

    summary: Summary
    workers: list[Worker]
    killed: Worker | None
    #: how long after its death the killed worker's task was back in its queue, in seconds
    noticed_after: float | None


class Demo:
    """One demo of a tree's files, with its store in the empty folder `place`."""

    def __init__(self, tree: Tree, files: list[str], place: Path, *, workers: int, screen: Screen) -> None:
        self._tree = tree
        self._files = files
        self._screen = screen
        self._wanted = workers
        self._killed: Worker | None = None
        self._killed_at = 0
        (place / "config").mkdir(parents=True)
        (place / "var").mkdir()
        self.config = place / "config" / "taskqueue.toml"
        self.config.write_text(CONFIG)
        self._app = App(settings.load(self.config))
        self._workers = Workers(self.config, place / "var" / "taskqueue.db", place)

    def run(self) -> Result:
        """Run it to its end. INT, TERM and HUP raise KeyboardInterrupt, and leave no process behind."""
        log = self._app.dispatcher.task_log
        with closing(self._app):
            with _Orders() as orders, self._workers, self._screen.showing(len(self._files)):
                parent = self._start()
                while not _ended(parent):
                    orders.obey()
                    self._look()
                self._look()
                if self._killed is None:
                    self._screen.event("no worker was killed: none could be caught at work before all was done")
            return self._result(log, parent.id)

    def _start(self) -> Handle[Any]:
        tree, folder = self._tree, shown(self._tree.folder)
        parent = self._app.dispatcher.enqueue(survey, folder, tree.suffix, list(map(shown, tree.skip)))
        for _ in range(self._wanted):
            self._workers.start()
        return parent

    def _look(self) -> None:
        done = self._done()
        self._screen.progress(done)
        for dead in self._workers.bury():
            self._screen.event(f"{dead} ended by itself, with exit code {dead.process.returncode}", bad=True)
            self._replace()
        if self._killed is None and max(1, len(self._files) // 3) <= done < len(self._files):
            self._kill(done)

    def _kill(self, done: int) -> None:
        caught = self._workers.kill_at_work()
        if caught is None:
            return
        self._killed, card = caught
        self._killed_at = self._app.clock.micros()
        task = self._app.task_log_broker.get(card.task_id)
        name = (task and task.label) or card.task_id
        at = f"at {done:,} of {count(len(self._files), 'file')}"
        self._screen.event(f"{self._killed} killed with SIGKILL {at}, in the middle of {name}", bad=True)
        self._replace()

    def _replace(self) -> None:
        self._screen.event(f"{self._workers.start()} takes its place")

    def _done(self) -> int:
        counts = self._app.task_log_broker.stats().get("default", {})
        return min(len(self._files), sum(n for status, n in counts.items() if status.ended))

    def _result(self, log: TaskLog, parent: str) -> Result:
        found = summary.summarise(log, parent, self._tree, self._files)
        slot = self._killed.slot if self._killed else None
        back = [attempt.at for attempt in found.again if attempt.worker == slot]
        return Result(found, self._workers.all, self._killed, (back[0] - self._killed_at) / 1e6 if back else None)


def _ended(parent: Handle[Any]) -> bool:
    try:
        parent.wait(TICK)
    except TimeoutError:
        return False
    return True


class _Orders:
    """Inside, what would end this process is only noted: the story ends at a place where every process is known."""

    def __init__(self) -> None:
        self._told = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in ENDS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def obey(self) -> None:
        """Raise KeyboardInterrupt if a signal came."""
        if self._told:
            raise KeyboardInterrupt

    def _note(self, *_: object) -> None:
        self._told = True
