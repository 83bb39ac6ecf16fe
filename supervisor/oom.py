"""Whether the kernel's out-of-memory killer was at work: a SIGKILL says nothing of who sent it, a counter does.

The cgroup of this process counts its victims: `memory.events` (version 2), `memory.oom_control` (version 1); see the
kernel's cgroup-v2 and cgroup-v1/memory documents. A host that is full as a whole counts in /proc/vmstat.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class OomKills:
    """The counters, and what they said when they were last looked at."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._files = [file for file in _files(root) if file.exists()]
        self._last = self._read()

    def look(self) -> None:
        """Take what they say now for known."""
        self._last = self._read()

    def rose(self) -> bool:
        """Whether some process was killed since the last look; whose it was, the counters do not say."""
        return any(now > then for now, then in zip(self._read(), self._last, strict=True))

    def _read(self) -> list[int]:
        return [_count(file) for file in self._files]


def _files(root: Path) -> Iterator[Path]:
    yield root / "proc/vmstat"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    groups = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if not controllers:
            yield groups / inside / "memory.events"
        elif "memory" in controllers.split(","):
            # In a container the group's own folder is the root of what is mounted.
            yield groups / "memory" / inside / "memory.oom_control"
            yield groups / "memory" / "memory.oom_control"


def _count(file: Path) -> int:
    try:
        found = _COUNT.search(file.read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0
