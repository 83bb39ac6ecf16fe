"""A queue of ours, with `taskqueue worker` processes that stand ready, paused, until they are let go."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import sqlalchemy as sa

import taskqueue
from taskqueue.status import Status
from tests.bench import tasks
from tests.support.eventually import eventually
from tests.support.project import REPOSITORY

#: of one drain at most, in seconds
PATIENCE = 900.0


class Arena:
    """Opened from a configuration; workers run from `start` to the end of the block."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._folder = config.parent
        self.queue = taskqueue.connect(config)
        self.database = self.queue.queue("default").log_database
        self._workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()

    def start(self, workers: int, *, times_turns: bool = False) -> None:
        """Start so many; they are ready, and paused, when this returns."""
        variables = {"PYTHONPATH": str(REPOSITORY), "BENCH_STAMPS": str(self._stamps)}
        if times_turns:
            variables["BENCH_TURNS"] = str(self._folder / "turns")
        command = [sys.executable, "-m", "taskqueue", "--config", str(self._config), "worker", "default"]
        for number in range(workers):
            with (self._folder / f"worker-{number}.log").open("wb") as log:
                self._workers.append(
                    subprocess.Popen(command, env=os.environ | variables, stdin=subprocess.DEVNULL, stderr=log)
                )
        eventually(self._registered, within=120, what="workers that are ready")
        self._send(signal.SIGUSR2)

    def _registered(self) -> bool:
        if any(worker.poll() is not None for worker in self._workers):
            raise SystemExit("a worker left:\n" + "".join(p.read_text() for p in self._folder.glob("worker-*.log")))
        pids = [worker.pid for worker in self._workers]
        with self.database.read() as connection:
            found = connection.execute(sa.select(self.database.tables.worker.c.pid)).scalars()
            return set(pids) <= set(found)

    def stop(self) -> None:
        """End the workers as an operator does."""
        self._send(signal.SIGCONT)
        self._send(signal.SIGTERM)
        codes = [worker.wait(60) for worker in self._workers]
        if any(codes):
            raise SystemExit(f"workers left with {codes}")
        self._workers = []

    def _send(self, number: int) -> None:
        for worker in self._workers:
            worker.send_signal(number)

    # What can be measured

    def enqueued_one_by_one(self, count: int) -> float:
        """Tasks a second."""
        began = time.perf_counter()
        for number in range(count):
            self.queue.enqueue(tasks.nothing, number)
        return count / (time.perf_counter() - began)

    def enqueued_in_bulk(self, count: int, *, at_a_call: int = 1000) -> float:
        """Tasks a second."""
        began = time.perf_counter()
        for start in range(0, count, at_a_call):
            self.queue.enqueue_many(tasks.nothing.bind(n) for n in range(start, min(count, start + at_a_call)))
        return count / (time.perf_counter() - began)

    def drained(self, count: int, *, pausing: bool = False) -> dict[str, Any]:
        """Let the workers go until so many more tasks have ended, reports stored; then pause them again, or not."""
        before, spent, servers = self.ended(), self._processor(), self._processor_of_database()
        began = time.monotonic()
        self._send(signal.SIGCONT)
        done = self._until_ended(before, count, began)
        seconds = time.monotonic() - began
        ours, theirs = self._processor() - spent, self._processor_of_database()
        if pausing:
            self._send(signal.SIGUSR2)
        figures = {"tasks": done, "seconds": round(seconds, 3), "drain_per_s": round(done / seconds)}
        figures["cpu_us"] = round(ours / done * 1e6, 1)
        if servers is not None and theirs is not None:
            figures["database_cpu_us"] = round((theirs - servers) / done * 1e6, 1)
        return figures

    def _until_ended(self, before: int, count: int, began: float) -> int:
        while (done := self.ended() - before) < count:
            elapsed = time.monotonic() - began
            if elapsed > PATIENCE or any(worker.poll() is not None for worker in self._workers):
                raise SystemExit(f"{done:,} of {count:,} tasks ended in {elapsed:.0f} s")
            expected = (count - done) * elapsed / done if done else 0.01
            # Seldom at first, so that looking costs nothing; often at the end, so that the end is seen.
            time.sleep(min(0.5, max(0.002, expected / 3)))  # noqa: TID251 - a bench waits
        return done

    def ended(self) -> int:
        """How many tasks have ended."""
        return sum(n for counts in self.queue.task_log.stats().values() for s, n in counts.items() if s.ended)

    def open(self) -> int:
        """How many have not."""
        return sum(n for counts in self.queue.task_log.stats().values() for s, n in counts.items() if not s.ended)

    def latencies(self, count: int, *, mean: float) -> list[float]:
        """Milliseconds from the start of `enqueue` to the task's first line, each; arrivals are random (Poisson)."""
        self._send(signal.SIGCONT)
        took, spread = [], random.Random(count)
        for number in range(count + 3):
            time.sleep(spread.expovariate(1 / mean))  # noqa: TID251 - idle workers are what is measured
            began = time.monotonic_ns()
            self.queue.enqueue(tasks.stamp)
            eventually(lambda: len(self.stamps()) > number, within=30, what="the task's first line")  # noqa: B023 - called here only
            took.append((self.stamps()[-1][0] - began) / 1e6)
        return [round(one, 3) for one in took[3:]]

    @property
    def _stamps(self) -> Path:
        return self._folder / "stamps"

    def stamps(self) -> list[tuple[int, ...]]:
        """(start, end) of each task that stamps."""
        return list(tasks.STAMP.iter_unpack(self._stamps.read_bytes())) if self._stamps.exists() else []

    def turns(self) -> list[float]:
        """Milliseconds of each turn that claimed tasks."""
        return [s * 1e3 for s, held in tasks.TURN.iter_unpack((self._folder / "turns").read_bytes()) if held]

    # Processor time

    def _processor(self) -> float:
        return sum(_spent(worker.pid) for worker in self._workers)

    def _processor_of_database(self) -> float | None:
        """That of its sessions' processes, where they run on this machine."""
        with self.database.read() as connection:
            if connection.dialect.name != "postgresql":
                return None
            pids = connection.exec_driver_sql(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).scalars()
            return sum(_spent(pid) for pid in pids if _is_postgres(pid))

    # Correctness first

    def durable(self) -> dict[str, str]:
        """How durable a commit is, as the store says in a session of ours."""
        with self.database.begin() as transaction:
            ask = transaction.connection.exec_driver_sql
            if transaction.connection.dialect.name == "postgresql":
                names = ("server_version", "fsync", "synchronous_commit", "full_page_writes")
                return {name: str(ask(f"SHOW {name}").scalar()) for name in names}
            level = ask("PRAGMA synchronous").scalar()
            return {"synchronous": {2: "FULL", 3: "EXTRA"}.get(level, f"NOT durable: {level}")}

    def check(self, expected: int) -> str:
        """Every task ended well, once, with its report, and nothing is left behind; in words. Else the bench ends."""
        t = self.database.tables
        e = t.entry.c
        once = sa.case((e.attempts == 1, 1), else_=0)
        with self.database.read() as connection:
            found = connection.execute(
                sa.select(e.status, sa.func.count(), sa.func.count(e.report), sa.func.sum(once)).group_by(e.status)
            ).all()
            left = {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
                for table in (t.message, t.lease, t.delayed, t.attempt)
            }
        right = [(int(Status.COMPLETED), expected, expected, expected)]
        if [tuple(map(int, row)) for row in found] != right or any(left.values()):
            raise SystemExit(f"wrong counts: {found} (status, tasks, reports, run once), not {right}; left: {left}")
        return f"{expected:,} ended once with a report, nothing left"


def _spent(pid: int) -> float:
    try:
        return sum(psutil.Process(pid).cpu_times()[:2])
    except psutil.NoSuchProcess:
        return 0.0


def _is_postgres(pid: int) -> bool:
    try:
        return psutil.Process(pid).name().startswith("postgres")
    except psutil.Error:
        return False


def quantile(values: Iterable[float], share: float) -> float:
    """The value that such a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
