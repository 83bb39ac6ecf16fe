"""The demo's workers: real `taskqueue worker` processes, which it starts, kills and ends."""

from __future__ import annotations

import mmap
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

import taskqueue
from taskqueue.errors import TaskQueueError
from taskqueue.worker.scorecard import SIZE, Card, Scorecard

#: seconds that a worker has to leave before it is killed
GRACE = 10.0
#: so many deaths that nobody ordered are too many
MAX_DEATHS = 5


class Worker:
    """One process."""

    def __init__(self, number: int, config: Path, log: Path) -> None:
        self.number = number
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(  # noqa: S603  # our own command, from our own Python
                [sys.executable, "-m", "taskqueue", "--config", str(config), "worker"],
                # Whence -m finds the very package that runs here.
                cwd=Path(taskqueue.__file__).parents[1],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    @property
    def slot(self) -> str:
        """What the task log calls it."""
        return f"{socket.gethostname()}:{self.process.pid}"

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.process.pid})"


class Workers:
    """So many workers of a configuration at a time. A context manager: at its end none is left."""

    def __init__(self, config: Path, database: Path, logs: Path) -> None:
        self._config = config
        self._database = database
        self._logs = logs
        self._deaths = 0
        #: every worker that there was
        self.all: list[Worker] = []
        self.present: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Worker:
        """One more."""
        number = len(self.all) + 1
        worker = Worker(number, self._config, self._logs / f"worker-{number}.log")
        self.all.append(worker)
        self.present.append(worker)
        return worker

    def kill_at_work(self) -> tuple[Worker, Card] | None:
        """Kill a worker in the middle of a task, and say of which; None if none could be caught at it."""
        for worker in self.present:
            worker.process.send_signal(signal.SIGSTOP)  # it cannot end its task while we look
            card = self._card_of(worker)
            if card is not None and card.task_id:
                worker.process.kill()
                worker.process.wait()
                self.present.remove(worker)
                return worker, card
            worker.process.send_signal(signal.SIGCONT)
        return None

    def bury(self) -> list[Worker]:
        """Those that have ended by themselves. Raises TaskQueueError, with what one said last, if they are too many."""
        dead = [worker for worker in self.present if worker.process.poll() is not None]
        self.present = [worker for worker in self.present if worker not in dead]
        self._deaths += len(dead)
        if self._deaths > MAX_DEATHS:
            said = dead[-1].log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise TaskQueueError(
                f"workers cannot live here: {dead[-1]} ended with exit code {dead[-1].process.returncode}; "
                f"it said last: {said[0]}"
            )
        return dead

    def stop(self) -> None:
        """End all: by TERM, as an operator would, and after a while by KILL."""
        for worker in self.present:
            worker.process.terminate()
        deadline = time.monotonic() + GRACE
        try:
            for worker in self.present:
                with suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(0.0, deadline - time.monotonic()))
        finally:  # however impatient the person at the terminal
            _kill(self.present)
            self.present = []

    def _card_of(self, worker: Worker) -> Card | None:
        """The scorecard that a stopped worker keeps beside the database."""
        for path in self._database.parent.glob(f"{self._database.name}-worker-*"):
            with suppress(FileNotFoundError), path.open("r+b") as file, mmap.mmap(file.fileno(), SIZE) as row:
                card = Scorecard(row).read()
                if card is not None and card.slot == worker.slot:
                    return card
        return None


def _kill(workers: Iterable[Worker]) -> None:
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait()
