"""One machine that stands for several hosts: each has its folder, temporary files, control socket and wall clock."""

from __future__ import annotations

import os
import signal
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.support.project import REPOSITORY
from tests.support.supervision import RunningSupervisor, Site, is_gone

_WALL_CLOCK = Path(__file__).parent / "wall_clock"


class Host(Site):
    """One host's worth. `killed` has its processes that were ended by force, and when in nanoseconds, by the latest."""

    def __init__(self, folder: Path, **parts: str) -> None:
        folder.mkdir()
        self.killed: dict[int, int] = {}
        #: where its processes have their temporary files
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._clock = folder / "clock"
        self.set_clock(0.0)
        super().__init__(folder, **parts)

    def start(self, *, ready: bool = True, **options: Any) -> RunningSupervisor:
        """Start its supervisor, in this host's surroundings."""
        variables = {
            "TMPDIR": str(self.temporary),
            "WALL_CLOCK": str(self._clock),
            "PYTHONPATH": os.pathsep.join([str(_WALL_CLOCK), str(REPOSITORY)]),
        }
        return super().start(ready=ready, variables=variables, **options)

    def set_clock(self, seconds: float) -> None:
        """Its wall clock is so many seconds fast, or slow, from now on."""
        self._clock.write_bytes(struct.pack("=d", seconds))

    def working(self) -> list[psutil.Process]:
        """Its processes that serve queues, those of a supervisor that is gone too."""
        return [process for process in self._children() if "/keeper/" not in _title(process)]

    def keeping(self) -> list[psutil.Process]:
        """Likewise."""
        return [process for process in self._children() if "/keeper/" in _title(process)]

    def _children(self) -> list[psutil.Process]:
        everyone = [psutil.Process(pid) for supervisor in self.supervisors for pid in _session(supervisor)]
        found = [process for process in everyone if _title(process).startswith("taskqueue ")]
        return sorted(found, key=lambda process: process.pid)

    def kill(self, process: psutil.Process) -> None:
        """KILL. What it ran last may have gone on until then."""
        self.killed.setdefault(process.pid, time.monotonic_ns())
        with suppress(psutil.NoSuchProcess):
            process.kill()

    def lose(self) -> None:
        """Everything that runs there is gone at once."""
        self.supervisor.killed = True
        at = time.monotonic_ns()
        for supervisor in self.supervisors:
            # Again, for those that were forked meanwhile: who is stopped, forks nothing.
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in list(supervisor.session()):
                    self.killed.setdefault(pid, at)
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
        self.supervisor.process.wait(10)


def _session(supervisor: RunningSupervisor) -> list[int]:
    return list(supervisor.session())


def _title(process: psutil.Process) -> str:
    try:
        return "" if is_gone(process) else " ".join(process.cmdline())
    except psutil.Error:
        return ""
