"""A project in a folder, as a user has one: a configuration, a store, workers as real processes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from taskqueue.app import App
from taskqueue.dispatcher import QueueDispatcher
from taskqueue.settings import load
from tests.support import forked
from tests.support.eventually import eventually

REPOSITORY = Path(__file__).parents[2]
STORES = 'url = "sqlite:///tasks.db"'
CONFIG = """
[app]
modules = ["tests.support.tasks"]
{app}
[brokers.main]
{stores}
[queue_defaults]
{defaults}
[queues.default]
[queues.other]
weight = 3
[supervisor]
grace = {grace}
[logging]
level = "debug"
"""


class RunningWorker:
    """One `taskqueue worker` process."""

    def __init__(self, project: Project, *args: str) -> None:
        self.log = project.folder / f"worker-{len(project.workers)}.log"
        with self.log.open("wb") as out:
            self.process = forked.start(
                "taskqueue",
                *("--config", str(project.config), "worker", *(args or ("default",))),
                environment=dict(os.environ, PYTHONPATH=str(REPOSITORY), **project.variables),
                out=out.fileno(),
                err=out.fileno(),
                new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, name: str) -> None:
        self.process.send_signal(getattr(signal, name))

    def insist(self, name: str) -> None:
        """Send it again until the worker heard a second one: two that come close together count as one."""

        def heard() -> bool:
            self.send(name)
            return "leaving now" in self.log.read_text()

        eventually(heard, what="a second order to leave")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def wait(self, seconds: float = 20.0) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker did not leave within {seconds:g} s:\n{self.log.read_text()}") from None

    def stop(self) -> int:
        self.send("SIGTERM")
        return self.wait()


class Project:
    """A folder with everything in it."""

    def __init__(
        self, folder: Path, *, app: str = "", defaults: str = "", grace: float = 30, stores: str = STORES
    ) -> None:
        self._settle(folder, CONFIG.format(app=app, defaults=defaults, grace=grace, stores=stores))

    def _settle(self, folder: Path, config: str) -> None:
        self.folder = folder
        self.config = folder / "taskqueue.toml"
        self.config.write_text(config)
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.workers: list[RunningWorker] = []
        #: more of the workers' environment
        self.variables: dict[str, str] = {}
        self.app = App(load(self.config))

    @property
    def queue(self) -> QueueDispatcher:
        return self.app.dispatcher

    def worker(self, *args: str) -> RunningWorker:
        worker = RunningWorker(self, *args)
        self.workers.append(worker)
        return worker

    def drain(self, *args: str) -> int:
        """Let one worker run all that is due; its exit code."""
        return self.worker("default", "--drain", *args).wait(60)

    def lines(self, *words: str) -> list[list[str]]:
        """The ledger's lines whose words begin so."""
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        return [line for line in lines if tuple(line[: len(words)]) == words]

    def started(self, handle: Any, times: int = 1) -> list[list[str]]:
        """Wait until the task has started so many times."""
        return eventually(lambda: len(found := self.lines("start", handle.id)) >= times and found, what="a start")

    def nothing_left(self) -> None:
        """No message, no lease, no worker's trace is left (but of those that run)."""
        for queue in self.app.queues.values():
            assert queue.broker.depth().total == 0
        assert not list(self.folder.glob("tasks.db-worker-*"))

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()
        self.app.close()
