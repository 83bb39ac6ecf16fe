"""One machine that stands for several hosts: each has its folder, temporary files, control socket and wall clock."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.support.project import REPOSITORY
from tests.support.runs import Fault
from tests.support.supervision import RunningSupervisor, Site, is_gone

_WALL_CLOCK = Path(__file__).parent / "wall_clock"


class Host(Site):
    """One host's worth. `faults` has what was done to its processes, for the ledger."""

    def __init__(self, folder: Path, **parts: str) -> None:
        folder.mkdir()
        self.faults: list[Fault] = []
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
        # In place: its processes have the file mapped, and one that is empty for a moment kills who looks (SIGBUS).
        file = os.open(self._clock, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(file, struct.pack("=d", seconds), 0)
        os.close(file)

    def working(self) -> list[psutil.Process]:
        """Its processes that serve queues, those of a supervisor that is gone too."""
        return [process for process in self._children() if "/keeper/" not in _title(process)]

    def keeping(self) -> list[psutil.Process]:
        """Likewise."""
        return [process for process in self._children() if "/keeper/" in _title(process)]

    def _children(self) -> list[psutil.Process]:
        everyone = {pid for supervisor in self.supervisors for pid in supervisor.session()}
        return [process for process in _processes(everyone) if _title(process).startswith("taskqueue ")]

    def kill(self, process: psutil.Process) -> None:
        """KILL. Its task may go on until it is dead, but nobody else's run of it may begin before this."""
        self.faults.append(Fault(pid=process.pid, at=time.monotonic_ns()))
        with suppress(psutil.NoSuchProcess):
            process.kill()

    def lose(self) -> None:
        """Everything that runs there is gone at once."""
        self.supervisor.killed = True
        at = time.monotonic_ns()
        lost = self.freeze() | self.signal(signal.SIGKILL)
        self.faults += [Fault(pid=pid, at=at) for pid in sorted(lost)]
        self.supervisor.process.wait(10)

    def freeze(self) -> set[int]:
        """Everything that runs there stands still, until it is told to go on; their numbers."""
        # Twice, for those that were forked meanwhile: who is stopped, forks nothing.
        return self.signal(signal.SIGSTOP) | self.signal(signal.SIGSTOP)

    def signal(self, number: signal.Signals) -> set[int]:
        """Send that to everything that runs there; their numbers."""
        pids = {pid for supervisor in self.supervisors for pid in supervisor.session()}
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids


def _processes(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for pid in sorted(pids):
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)


def _title(process: psutil.Process) -> str:
    try:
        return "" if is_gone(process) else " ".join(process.cmdline())
    except psutil.Error:
        return ""
