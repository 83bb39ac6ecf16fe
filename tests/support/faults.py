"""Dying at the store: SIGKILL to oneself just before or just after a call to a broker or a task log, or a commit.

A process whose environment names a folder, and whose configuration has this module among its `[app] modules`, follows
the `Plan` in that folder, which may change while it runs. Every call is noted there, so that a run without faults tells
which there are. The calls are those of the contracts, whatever they may be; one that another one makes is part of it.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from taskqueue import plugins
from taskqueue.brokers import base as brokers
from taskqueue.queue.at_once import AtOnce
from taskqueue.queue.turns import Handing
from taskqueue.tasklog import base as task_logs
from tests.support.runs import Fault

VARIABLE = "TASKQUEUE_TEST_FAULTS"
COMMIT = "commit"


def calls_of(prefix: str, *contracts: type) -> dict[str, str]:
    """The methods of these contracts, and what they are called here: `broker.pop`."""
    names = {name for contract in contracts for name, _ in inspect.getmembers(contract, inspect.isfunction)}
    return {name: f"{prefix}.{name}" for name in sorted(names) if not name.startswith("_")}


BROKER_CALLS = calls_of("broker", brokers.Broker, brokers.Revealing, brokers.Burying, brokers.Emptiable, Handing)
LOG_CALLS = calls_of("log", task_logs.TaskLogBroker)
ENQUEUE_AT_ONCE = "queue.enqueue_at_once"
CALLS = [COMMIT, ENQUEUE_AT_ONCE, *BROKER_CALLS.values(), *LOG_CALLS.values()]


class Death(msgspec.Struct, frozen=True):
    """Whoever comes to that call for the `nth` time dies, "before" or "after" it."""

    call: str
    nth: int = 1
    side: str = "before"

    def __str__(self) -> str:
        return f"{self.side} {self.call} {self.nth}"


class Plan(msgspec.Struct, frozen=True):
    """Deaths that are to come one after the other; each counts its calls from the one before it."""

    number: int = 0
    deaths: tuple[Death, ...] = ()


class Stage:
    """The folder, as the test sees it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.number = 0
        self.set()

    @property
    def variables(self) -> dict[str, str]:
        """For the environment of those who are to die."""
        return {VARIABLE: str(self.folder)}

    def set(self, *deaths: Death) -> None:
        """From now on these."""
        self.number += 1
        fresh = self.folder / "fresh"
        fresh.write_bytes(msgspec.json.encode(Plan(self.number, deaths)))
        fresh.rename(self.folder / "plan")

    def came(self) -> int:
        """How many deaths of the present plan have come."""
        return len(list(self.folder.glob(f"death-{self.number}-*")))

    def faults(self) -> list[Fault]:
        """All that have come, of every plan."""
        notes = [path.read_text().split() for path in self.folder.glob("death-*")]
        return [Fault(pid=int(pid), at=int(at)) for pid, at in notes]

    def calls(self) -> Counter[str]:
        """What was called since the last death that the plan asks for, and how often."""
        now = [str(self.number), str(self.came())]
        return Counter(call for *moment, _, call in self._notes() if moment == now)

    def calls_ever(self) -> set[str]:
        """All that was ever called."""
        return {call for *_, call in self._notes()}

    def _notes(self) -> list[list[str]]:
        notes = self.folder / "calls"
        return [line.split() for line in notes.read_text().splitlines()] if notes.exists() else []


class _Script:
    """The plan, as a process follows it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._counts: Counter[tuple[int, int, str]] = Counter()
        self._inside = threading.local()

    def play(self, call: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make that call, and die beside it if it is time."""
        if call != COMMIT and getattr(self._inside, "call", None):
            return real(*args, **kwargs)
        die = self._reached(call)
        die("before")
        outer, self._inside.call = getattr(self._inside, "call", None), call
        try:
            answer = real(*args, **kwargs)
        finally:
            self._inside.call = outer
        die("after")
        return answer

    def _reached(self, call: str) -> Callable[[str], None]:
        with self._lock:
            plan = msgspec.json.decode((self._folder / "plan").read_bytes(), type=Plan)
            index = sum((self._folder / f"death-{plan.number}-{i}").exists() for i in range(len(plan.deaths)))
            _append(self._folder / "calls", f"{plan.number} {index} {os.getpid()} {call}\n")
            self._counts[plan.number, index, call] += 1
            count = self._counts[plan.number, index, call]

        def die(side: str) -> None:
            if index < len(plan.deaths) and plan.deaths[index] == Death(call, count, side):
                _die(self._folder / f"death-{plan.number}-{index}")

        return die


def _append(path: Path, line: str, flags: int = 0) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | flags, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def _die(note: Path) -> None:
    try:
        _append(note, f"{os.getpid()} {time.monotonic_ns()}", os.O_EXCL)
    except FileExistsError:
        return  # another process was first
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def _stores() -> Iterator[tuple[type, dict[str, str]]]:
    """The built-in classes, and their calls."""
    for group, calls, load in (
        (plugins.BROKERS, BROKER_CALLS, plugins.broker_class),
        (plugins.TASK_LOGS, LOG_CALLS, plugins.task_log_class),
    ):
        for made in {load(f"{scheme}://") for scheme in plugins.BUILT_IN[group]}:
            yield made, calls


def _follow(script: _Script) -> None:
    for made, calls in _stores():
        for name, call in calls.items():
            if hasattr(made, name):
                setattr(made, name, _played(script, call, getattr(made, name)))
    AtOnce.enqueue = _played(script, ENQUEUE_AT_ONCE, AtOnce.enqueue)  # type: ignore[method-assign]  # in this process
    sa.Connection.commit = _played(script, COMMIT, sa.Connection.commit)  # type: ignore[method-assign]  # in this process


def _played(script: _Script, call: str, real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def played(*args: Any, **kwargs: Any) -> Any:
        return script.play(call, real, *args, **kwargs)

    return played


if VARIABLE in os.environ:
    _follow(_Script(Path(os.environ[VARIABLE])))
