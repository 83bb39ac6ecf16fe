"""How many processors this process may use: what its affinity allows, cut by the quota of its control groups.

In a container the machine's processors are not its own: Docker's `--cpus` and the `resources.limits.cpu` of Kubernetes
are quotas (microseconds of running time a period), which the kernel keeps in `cpu.max` (version 2) or in
`cpu.cfs_quota_us` and `cpu.cfs_period_us` (version 1). Each group on the way from the process up to the top may have
one, and the smallest counts. See cgroups(7) and the kernel's admin-guide/cgroup-v2.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def usable(*, root: Path = ROOT, allowed: int | None = None) -> int:
    """Processors for this process, at least 1; a part of one counts as one.

    `root` is the folder that has proc and sys; `allowed` what the affinity allows, if that is known.
    """
    return max(1, min([allowed or _affinity(), *_quotas(root)]))


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[int]:
    """What each control group of this process allows, rounded up."""
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            # Beside version 1 ("hybrid") version 2 has a folder of its own.
            for top in (mounted, mounted / "unified"):
                yield from _rounded_up(_text(group / "cpu.max") for group in _upwards(top, path))
        elif "cpu" in controllers.split(","):
            yield from _rounded_up(
                f"{_text(group / 'cpu.cfs_quota_us')} {_text(group / 'cpu.cfs_period_us')}"
                for top in (mounted / controllers, mounted / "cpu")
                for group in _upwards(top, path)
            )


def _upwards(top: Path, path: str) -> Iterator[Path]:
    """The folders of a group and of those above it.

    A container that has no namespace for groups of its own is told the host's path and sees its own group at `top`;
    one whose process came in from outside is told "/../...". In both cases what is not below `top` is not there.
    """
    own = PurePosixPath(path.lstrip("/"))
    if ".." not in own.parts:
        yield from (top / folder for folder in (own, *own.parents))
    yield top


def _rounded_up(texts: Iterable[str]) -> Iterator[int]:
    """Processors for each "QUOTA PERIOD"; nothing for "max", for -1, and for what is no such pair."""
    for text in texts:
        with suppress(ValueError):
            quota, period = (int(number) for number in text.split())
            if quota > 0 and period > 0:
                yield -(-quota // period)


def _text(file: Path) -> str:
    """What the kernel says there. Files that are missing or closed set no limit that this process could know."""
    try:
        return file.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
