"""A control group of one's own, by version 1 or 2 of the interface. Who may make none skips the test."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import pytest

from tests.support.eventually import eventually

ROOT = Path("/sys/fs/cgroup")
_LIMITS = {
    "pids": ("pids.max", "pids.max"),
    "memory": ("memory.limit_in_bytes", "memory.max"),
}
#: of memory: what is over the limit goes nowhere else
_NO_SWAP = ("memory.swappiness", "memory.swap.max")


class Group:
    """One controller's group: "pids" (limited in processes) or "memory" (in megabytes)."""

    def __init__(self, controller: str) -> None:
        self._controller = controller
        self._first = (ROOT / controller / "cgroup.procs").exists()
        self._parent = ROOT / controller if self._first else ROOT
        self._home = self._parent / f"taskqueue-{uuid4().hex[:8]}"

    def __enter__(self) -> Self:
        try:
            self._home.mkdir()
            self.limit(None)
        except OSError as error:
            if self._home.exists():
                self._home.rmdir()
            pytest.skip(f"no control group for {self._controller} can be made here: {error}")
        if self._controller == "memory":
            with contextlib.suppress(OSError):
                (self._home / _NO_SWAP[0 if self._first else 1]).write_text("0")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.limit(None)
        for pid in (self._home / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (self._parent / "cgroup.procs").write_text(pid)
        eventually(self._remove, what="an empty control group")

    def _remove(self) -> bool:
        try:
            self._home.rmdir()
        except OSError:
            return False
        return True

    def limit(self, most: int | None) -> None:
        """So much for all of it together; None: no limit."""
        name = _LIMITS[self._controller][0 if self._first else 1]
        unit = 1024 * 1024 if self._controller == "memory" else 1
        nothing = "-1" if self._controller == "memory" and self._first else "max"
        (self._home / name).write_text(nothing if most is None else str(most * unit))

    def add(self, pid: int) -> None:
        """This process, and what it forks from now on."""
        (self._home / "cgroup.procs").write_text(str(pid))
