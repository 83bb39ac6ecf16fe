"""The ceiling and the peers, which live outside of this repository and are run as programs.

A folder holds `limit.py` (the same durable work in raw SQL) and `run.py` with its `drivers` (other task queues); both
print one JSON line a run. What is missing raises `Missing`, with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.eventually import eventually
from tests.support.own_servers import Unreachable, free_port, listens, program

#: of one run at most, in seconds
PATIENCE = 900
#: what a driver imports
NEEDS = {"awa": "awa", "celery": "celery", "dramatiq": "dramatiq", "huey": "huey", "pgqueuer": "pgqueuer, asyncpg"}


class Missing(Exception):
    """That one cannot be run here."""


class Outside:
    """What that folder offers, with the Python whose environment has the peers."""

    def __init__(self, folder: Path | None, python: Path | None) -> None:
        self._folder = folder
        usual = folder / ".peers/bin/python" if folder else None
        self._python = python or (usual if usual and usual.exists() else None)

    def ceiling(self, kind: str, environment: Mapping[str, str], *, tasks: int, batch: int) -> dict[str, Any]:
        """One run of `limit.py`, by our own Python."""
        if self._folder is None or not (self._folder / "limit.py").exists():
            raise Missing("not installed")
        arguments = ["limit.py", kind, "--tasks", str(tasks), "--batch", str(batch)]
        return self._run([sys.executable, *arguments], environment)

    def peer(self, driver: str, environment: Mapping[str, str], *, tasks: int, latencies: int) -> dict[str, Any]:
        """One run of that driver."""
        if self._folder is None or self._python is None or not (self._folder / f"drivers/{driver}.py").exists():
            raise Missing("not installed")
        package = driver.partition("_")[0]
        probe = [str(self._python), "-c", f"import {NEEDS.get(package, package)}"]
        if subprocess.run(probe, capture_output=True, check=False).returncode:
            raise Missing("not installed")
        arguments = ["run.py", driver, "--tasks", str(tasks), "--latencies", str(latencies)]
        path = f"{self._python.parent}{os.pathsep}{os.environ['PATH']}"
        figures = self._run([str(self._python), *arguments], {"PATH": path, **environment})
        if figures.get("drained", 0) < tasks:
            raise Missing(f"drained {figures.get('drained')} of {tasks}")
        return figures

    def _run(self, command: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
        ran = subprocess.run(
            command,
            cwd=self._folder,
            env=os.environ | environment | {"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        lines = [line for line in ran.stdout.splitlines() if line.startswith("{")]
        if ran.returncode or not lines:
            raise Missing(f"failed: {(ran.stderr or ran.stdout).strip()[-300:]}")
        answer: dict[str, Any] = json.loads(lines[-1])
        return answer


class Redis:
    """A server of our own, which the peers may empty."""

    def __init__(self) -> None:
        try:
            server = program("redis-server")
        except Unreachable as error:
            raise Missing(str(error)) from error
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [server, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        eventually(lambda: listens(port), what="an answer of Redis")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
