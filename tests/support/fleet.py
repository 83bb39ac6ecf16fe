"""Workers on several "hosts": folders that share nothing but the store that their configurations name.

The ledger is outside of the system under test: every run of a task appends a line at its start and one at its end.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import msgspec

from taskqueue import Status
from tests.support import tasks
from tests.support.eventually import eventually
from tests.support.project import Project, RunningWorker


class Run(msgspec.Struct):
    """One run of a task, in nanoseconds of this machine's clock; without an end if its process was killed."""

    pid: int
    start: int
    end: int | None = None


class Ledger:
    """What has run, read on as it grows."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.path = path
        self.runs: defaultdict[str, dict[tuple[str, str], Run]] = defaultdict(dict)
        self.ended: set[str] = set()
        self._read = 0

    def read_on(self) -> None:
        """Take in what was appended; the last line may be on its way."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole + newline)
        for line in whole.decode().splitlines():
            what, task_id, _, fence, pid, at = line.split()
            runs, name = self.runs[task_id], (fence, pid)
            if what == "start":
                assert name not in runs, f"{task_id}: one claim ran twice"
                runs[name] = Run(int(pid), int(at))
            else:
                runs[name].end = int(at)
                self.ended.add(task_id)

    def has_ended(self, count: int) -> bool:
        """Whether so many tasks have run to their end."""
        self.read_on()
        return len(self.ended) >= count

    def has_run_in(self, pid: int) -> bool:
        """Whether that process has run a task."""
        self.read_on()
        return any(run.pid == pid for runs in self.runs.values() for run in runs.values())


class Fleet:
    """Hosts with two workers each. `stores` is the configuration of the stores, `defaults` that of the queues."""

    def __init__(self, folder: Path, *, stores: str, defaults: str) -> None:
        self.hosts = []
        for name in ("red", "blue"):
            (folder / name).mkdir()
            self.hosts.append(Project(folder / name, stores=stores, defaults=defaults))
        self.hosts[0].queue.initialize()
        self.ledger = Ledger(folder / "ledger")
        self.enqueued: set[str] = set()
        self.workers: list[RunningWorker] = []
        self.killed: dict[int, int] = {}

    def enqueue(self, count: int, *, ahead: int) -> None:
        """So many more tasks by the hosts in turn, never more than `ahead` that have not run."""
        portion = min(ahead, 1000)
        for host, start in zip(itertools.cycle(self.hosts), range(0, count, portion), strict=False):
            more = min(portion, count - start)
            self.ran(len(self.enqueued) + more - ahead, within=120)
            batch = (tasks.traced.bind(str(self.ledger.path)) for _ in range(more))
            self.enqueued |= {handle.id for handle in host.queue.enqueue_many(batch)}

    def start(self) -> None:
        """Two workers on each host."""
        self.workers = [host.worker() for host in self.hosts for _ in range(2)]
        for worker in self.workers:
            eventually(lambda worker=worker: "worker started" in worker.log.read_text(), what="a worker")

    def kill_one(self) -> None:
        """Kill a worker in the middle of its work."""
        victim = next(worker for worker in self.workers if self.ledger.has_run_in(worker.pid))
        self.workers.remove(victim)
        # What it ran last may have gone on until it was dead, but nobody else's run may begin before it was killed.
        self.killed[victim.pid] = time.monotonic_ns()
        victim.kill()

    def ran(self, count: int, *, within: float) -> None:
        """Wait until so many tasks have run to their end."""
        eventually(lambda: self.ledger.has_ended(count), within=within, what=f"{count:,} tasks that ran")

    def all_completed(self, *, within: float = 60) -> None:
        """Wait until the log says so of every task, and no message is left: SQS brings some twice, or late."""
        log, broker = self.hosts[0].queue.task_log, self.hosts[0].queue.queue("default").broker
        eventually(lambda: log.categories()["completed"] == len(self.enqueued), within=within, what="all completed")
        eventually(lambda: broker.depth().total == 0, within=within, what="an empty queue")

    def stop(self) -> None:
        """Workers leave in good order, and none was troubled by more than its store."""
        assert [worker.stop() for worker in self.workers] == [0] * len(self.workers)
        for worker in self.workers:
            assert "Traceback" not in worker.log.read_text()

    def verify(self) -> None:
        """All that was enqueued has run and ended as it should, the log says so, and nothing is left in the queue."""
        self.ledger.read_on()
        assert set(self.ledger.runs) == self.enqueued
        assert faults(self.ledger, self.killed) == []
        log = self.hosts[0].queue.task_log
        assert log.stats() == {"default": {Status.COMPLETED: len(self.enqueued)}}
        self.hosts[0].nothing_left()

    def close(self) -> None:
        """End what still runs."""
        for host in self.hosts:
            host.close()


def faults(ledger: Ledger, killed: Mapping[int, int]) -> list[str]:
    """Runs that may not be: at once in two workers, without an end, or repeated although nobody had died.

    `killed` has the processes that were, and when; what ran in one of them was over by then.
    """
    found = []
    for task_id, by_claim in ledger.runs.items():
        *repeated, last = runs = sorted(by_claim.values(), key=lambda run: run.start)
        if last.end is None:
            found.append(f"{task_id} never ran to its end: {runs}")
        if not {run.pid for run in repeated} <= killed.keys():
            found.append(f"{task_id} was repeated without a cause: {runs}")
        for run, following in itertools.pairwise(runs):
            if (killed.get(run.pid, math.inf) if run.end is None else run.end) > following.start:
                found.append(f"{task_id} ran in two workers at once: {runs}")
    return found
