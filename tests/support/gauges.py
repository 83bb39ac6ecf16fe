"""What a process has, measured again and again: whether it grows shows between the first tenth and the last."""

from __future__ import annotations

import sys
from collections.abc import Callable
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


def sample(process: psutil.Process, *, connections: int, children: int = 0) -> Sample:
    """A process now. A master has two descriptors for each of its `children`, who come and go."""
    return Sample(process.memory_info().rss, process.num_fds() - 2 * children, process.num_threads(), connections)


def grown(samples: list[Sample]) -> list[str]:
    """What is more in the last tenth than in the first, each in one line."""
    tenth = max(1, len(samples) // 10)
    first, last = samples[:tenth], samples[-tenth:]
    found = []
    for name in Sample.__struct_fields__:
        before, after = (median(getattr(one, name) for one in some) for some in (first, last))
        if after > before + (SLACK if name == "memory" else 0):
            found.append(f"{name}: {before:,.0f} became {after:,.0f}")
    return found


def told(what: str, samples: list[Sample], show: Callable[[str], object] = sys.stdout.write) -> None:
    """Its figures, for whoever runs the test."""
    tenth = max(1, len(samples) // 10)
    for name in Sample.__struct_fields__:
        before, after = (median(getattr(one, name) for one in some) for some in (samples[:tenth], samples[-tenth:]))
        show(f"{what}: {name} {before:,.0f} -> {after:,.0f}\n")
