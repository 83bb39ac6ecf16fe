"""What a process has, measured again and again: whether it grows shows between the first tenth and the last."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from statistics import median

import msgspec
import psutil

#: memory that may come and go with whatever the allocator keeps, in bytes
SLACK = 2 * 1024 * 1024


class Sample(msgspec.Struct, frozen=True):
    """At one moment, at rest."""

    memory: int
    descriptors: int
    threads: int
    connections: int


def sample(process: psutil.Process, *, connections: int = 0, others: int = 0) -> Sample:
    """A process now. `others` are descriptors that come and go, or are counted as connections."""
    return Sample(process.memory_info().rss, process.num_fds() - others, process.num_threads(), connections)


def at_work(process: psutil.Process) -> Sample:
    """A worker now: its sockets and its handles on SQLite's files are its connections and no descriptors."""
    sockets = len(process.net_connections("all"))
    files = [os.path.basename(file.path) for file in process.open_files()]
    handles = sum(name.endswith((".db", "-wal", "-shm", "-lock", "-turn")) for name in files)
    return sample(process, connections=sockets + files.count("tasks.db"), others=sockets + handles)


def grown(samples: list[Sample]) -> list[str]:
    """What is more in the last tenth than in the first, each in one line."""
    return [
        f"{name}: {before:,.0f} became {after:,.0f}"
        for name, before, after in _tenths(samples)
        if after > before + (SLACK if name == "memory" else 0)
    ]


def told(what: str, samples: list[Sample], show: Callable[[str], object] = sys.stdout.write) -> None:
    """Its figures, for whoever runs the test."""
    for name, before, after in _tenths(samples):
        show(f"{what}: {name} {before:,.0f} -> {after:,.0f}\n")


def _tenths(samples: list[Sample]) -> Iterator[tuple[str, float, float]]:
    """Each figure by name: its median in the first tenth and in the last."""
    tenth = max(1, len(samples) // 10)
    for name in Sample.__struct_fields__:
        first, last = (median(getattr(one, name) for one in some) for some in (samples[:tenth], samples[-tenth:]))
        yield name, first, last
