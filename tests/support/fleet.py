"""Workers on several "hosts": folders that share nothing but the store that their configurations name."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from tests.support import books, tasks
from tests.support.eventually import eventually
from tests.support.ledger import Ledger, verdict
from tests.support.project import Project, RunningWorker
from tests.support.runs import Fault


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
        self.faults: list[Fault] = []

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
        self.faults.append(Fault(pid=victim.pid, at=time.monotonic_ns()))
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
        host = self.hosts[0]
        assert verdict(self.ledger, books.read(host.app), enqueued=self.enqueued, faults=self.faults) == []
        host.nothing_left()

    def close(self) -> None:
        """End what still runs."""
        for host in self.hosts:
            host.close()
