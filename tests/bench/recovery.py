"""How soon a task runs again after what held it was killed: `python -m tests.bench recovery`.

    worker     SIGKILL of the worker that runs a task, under a supervisor: to the start of the task's next run
    master     SIGKILL of the supervisor alone, and another one started at once, while every worker is busy: to the
               start of a task that waited (who is running ends first, and nothing is run again)
    host       SIGKILL of a supervisor and all its children, beside another supervisor's idle workers: to the start of
               the task's next run. On the same host, where a file proves the death; and on another one (with temporary
               files of its own), where only the end of the lease of `--lease` seconds tells
    database   a PostgreSQL server that is away for `--outage` seconds while workers are idle and one is busy: from its
               first answer to the start of a task that is enqueued then

Seconds, median and worst of `--times`, on PostgreSQL servers of the bench's own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import tasks
from tests.support.eventually import eventually
from tests.support.hosts import Host
from tests.support.own_servers import OwnPostgresql

DEFAULTS = "lease = {lease}\nmax_crashes = 1000000"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--lease", type=float, default=5.0)
    parser.add_argument("--outage", type=float, default=3.0)
    parser.add_argument("--only", choices=MEASURES, nargs="+", default=list(MEASURES))
    parser.add_argument("--quick", action="store_true", help="5 times")
    told, _ = parser.parse_known_args()
    for name in told.only:
        print(json.dumps(measured(name, 5 if told.quick else told.times, told)), flush=True)


def measured(name: str, times: int, told: argparse.Namespace) -> dict[str, Any]:
    """One line of the table."""
    with _ground(told.lease) as ground:
        took = [MEASURES[name](ground, told) for _ in range(times)]
    figures = {"median_s": round(statistics.median(took), 2), "worst_s": round(max(took), 2)}
    facts = {"lease_s": told.lease} if name.startswith("host") else {}
    facts |= {"outage_s": told.outage} if name == "database" else {}
    return {"killed": name, "times": times, **figures, **facts}


class Ground:
    """A server, and hosts on it that come and go."""

    def __init__(self, folder: Path, server: OwnPostgresql, lease: float) -> None:
        self.server = server
        self.hosts: list[Host] = []
        self._folder = folder
        self._parts = {"stores": f'url = "{server.url}"', "defaults": DEFAULTS.format(lease=lease)}

    def host(self, *, beside: Host | None = None) -> Host:
        """Another host with two workers, or a neighbour on the same one."""
        host = Host(self._folder / str(len(self.hosts)), **self._parts)
        if beside is not None:
            host.temporary = beside.temporary
        host.start()
        self.hosts.append(host)
        return host

    def first(self) -> Host:
        """The one that is there for all rounds."""
        return self.hosts[0] if self.hosts else self.host()

    def close(self) -> None:
        """End what still runs."""
        for host in self.hosts:
            for supervisor in host.supervisors:
                supervisor.clear_away()
            host.close()


@contextmanager
def _ground(lease: float) -> Iterator[Ground]:
    with tempfile.TemporaryDirectory(prefix="tq-") as folder:
        server = OwnPostgresql()
        ground = Ground(Path(folder), server, lease)
        try:
            yield ground
        finally:
            ground.close()
            server.close()


def of_a_worker(ground: Ground, told: argparse.Namespace) -> float:
    """One round."""
    host = ground.first()
    host.supervisor.ready()
    gate, handle = _running(host, host)
    victim = int(host.started(handle)[0][4])
    killed = time.monotonic_ns()
    os.kill(victim, signal.SIGKILL)
    return _ended(host, gate, handle, since=killed, run=2)


def of_a_master(ground: Ground, told: argparse.Namespace) -> float:
    """One round."""
    host = ground.first()
    host.supervisor.ready()
    held = [_running(host, host) for _ in range(2)]
    gate, waiting = _enqueued(host)
    killed = time.monotonic_ns()
    host.supervisor.kill()
    host.start(ready=False)
    took = _ended(host, gate, waiting, since=killed, run=1)
    for other, handle in held:
        other.touch()
        handle.wait(30)
    eventually(lambda: not list(host.supervisors[-2].session()), what="the end of the orphans")
    return took


def of_a_neighbour(ground: Ground, told: argparse.Namespace) -> float:
    """One round; the survivor finds the proof."""
    return _of_a_host(ground, together=True)


def of_a_host(ground: Ground, told: argparse.Namespace) -> float:
    """One round; the survivor has nothing but the lease."""
    return _of_a_host(ground, together=False)


def _of_a_host(ground: Ground, *, together: bool) -> float:
    survivor = ground.first()
    lost = ground.host(beside=survivor if together else None)
    survivor.supervisor.ready()
    gate, handle = _running(survivor, lost)
    killed = time.monotonic_ns()
    lost.lose()
    return _ended(survivor, gate, handle, since=killed, run=2)


def of_the_database(ground: Ground, told: argparse.Namespace) -> float:
    """One round."""
    host = ground.first()
    host.supervisor.ready()
    gate, busy = _running(host, host)
    ground.server.control("stop", "-m", "immediate")
    threading.Event().wait(told.outage)
    ground.server.control("start", "-o", f"-h '' -k {ground.server.folder}")
    answered = time.monotonic_ns()
    other, handle = _enqueued(host)
    took = _ended(host, other, handle, since=answered, run=1)
    gate.touch()
    busy.wait(30)
    return took


MEASURES: dict[str, Callable[[Ground, argparse.Namespace], float]] = {
    "worker": of_a_worker,
    "master": of_a_master,
    "host, seen by a neighbour": of_a_neighbour,
    "host": of_a_host,
    "database": of_the_database,
}


def _enqueued(host: Host) -> tuple[Path, Any]:
    """A task that runs until its gate is there."""
    gate = host.folder / f"gate-{time.monotonic_ns()}"
    return gate, host.queue.enqueue(tasks.until, str(host.ledger), str(gate))


def _running(host: Host, where: Host) -> tuple[Path, Any]:
    """One that has started there, be it not the first."""
    while True:
        gate, handle = _enqueued(host)
        if int(host.started(handle)[0][4]) in {process.pid for process in where.working()}:
            return gate, handle
        gate.touch()
        handle.wait(30)


def _ended(host: Host, gate: Path, handle: Any, *, since: int, run: int) -> float:
    """Seconds to that run's start; then it is let go."""
    try:
        eventually(lambda: len(host.lines("start", handle.id)) >= run, within=120, what="the next run")
    finally:
        gate.touch()
    handle.wait(30)
    return (int(host.lines("start", handle.id)[run - 1][5]) - since) / 1e9
