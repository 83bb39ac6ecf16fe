"""A schedule of faults that one number decides, and the hands that do them to a fleet.

A fault is due when so many tasks have ended, not at a time: the same number gives the same faults at the same places on
a fast machine and on a slow one.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Protocol

import msgspec
import psutil

from tests.support.eventually import eventually
from tests.support.hosts import Host

#: what may happen to a fleet, and how often beside the others
WEIGHTS = {
    "kill_worker": 6,
    "freeze_worker": 3,
    "kill_keeper": 2,
    "freeze_keeper": 1,
    "kill_master": 2,
    "freeze_master": 2,
    "lose_host": 1,
    "deploy": 1,
    "set_clock": 2,
}
DAY = 86_400.0


class Fault(msgspec.Struct, frozen=True):
    """One of them. `pick` (0 to 1) says which process, `size` (0 to 1) how long or how much."""

    after: int
    kind: str
    host: int
    pick: float
    size: float


class Trouble(Protocol):
    """What can go wrong with a store: each of `weights` is a method of that name."""

    #: how often each happens, as in WEIGHTS
    weights: Mapping[str, int]


def schedule(seed: int, *, tasks: int, faults: int, hosts: int, weights: Mapping[str, int]) -> list[Fault]:
    """So many faults while so many tasks run: every kind once if there are enough, the others by weight."""
    random = Random(seed)
    kinds = list(weights)
    drawn = random.choices(kinds, list(weights.values()), k=max(0, faults - len(kinds)))
    chosen = [*random.sample(kinds, min(faults, len(kinds))), *drawn]
    random.shuffle(chosen)
    step = tasks * 0.9 / (faults + 1)
    return [
        Fault(int(step * (number + 1)), kind, random.randrange(hosts), random.random(), random.random())
        for number, kind in enumerate(chosen)
    ]


class Chaos:
    """Does what the schedule says; `done` counts it. A process is frozen for `freeze` seconds at most."""

    def __init__(self, hosts: Sequence[Host], trouble: Trouble, *, freeze: float) -> None:
        self.done: Counter[str] = Counter()
        self._hosts = hosts
        self._trouble = trouble
        self._freeze = freeze
        self._frozen: list[_Frozen] = []
        self._lock = threading.Lock()

    def strike(self, fault: Fault) -> None:
        """One fault."""
        if fault.kind in self._trouble.weights:
            getattr(self._trouble, fault.kind)(fault.size)
        else:
            getattr(self, fault.kind)(self._hosts[fault.host], fault)
        self.done[fault.kind] += 1

    # What may happen

    def kill_worker(self, host: Host, fault: Fault) -> None:
        host.kill(_one_of(host.working, fault))

    def freeze_worker(self, host: Host, fault: Fault) -> None:
        self._stop(host, _one_of(host.working, fault), fault)

    def kill_keeper(self, host: Host, fault: Fault) -> None:
        host.kill(_one_of(host.keeping, fault))

    def freeze_keeper(self, host: Host, fault: Fault) -> None:
        self._stop(host, _one_of(host.keeping, fault), fault)

    def kill_master(self, host: Host, fault: Fault) -> None:
        """And another one is started at once, as whoever looks after services does."""
        host.supervisor.kill()
        host.start(ready=False)

    def freeze_master(self, host: Host, fault: Fault) -> None:
        self._stop(host, host.supervisor.master, fault)

    def lose_host(self, host: Host, fault: Fault) -> None:
        """And it comes back."""
        host.lose()
        host.start(ready=False)

    def deploy(self, host: Host, fault: Fault) -> None:
        for frozen in [one for one in self._frozen if one.host is host]:
            self._thaw(frozen)
        _began_to_listen(host)
        assert host.supervisor.stop() == 0
        host.start(ready=False)

    def set_clock(self, host: Host, fault: Fault) -> None:
        """Forward or back, by a week at most."""
        host.set_clock((fault.size * 2 - 1) * 7 * DAY)

    # What ends by itself

    def end(self) -> None:
        """All that was frozen goes on, and clocks are right again."""
        for frozen in list(self._frozen):
            self._thaw(frozen)
        for host in self._hosts:
            host.set_clock(0.0)

    def _stop(self, host: Host, process: psutil.Process, fault: Fault) -> None:
        with suppress(psutil.NoSuchProcess):
            frozen = _Frozen(host, process, time.monotonic_ns())
            process.send_signal(signal.SIGSTOP)
            self._frozen.append(frozen)
            # By a clock of its own: other faults take their time, and nobody may be frozen for longer than a lease.
            frozen.timer = threading.Timer(self._freeze * fault.size, self._thaw, [frozen])
            frozen.timer.start()

    def _thaw(self, frozen: _Frozen) -> None:
        with self._lock:
            if frozen not in self._frozen:
                return
            self._frozen.remove(frozen)
        if frozen.timer is not None:
            frozen.timer.cancel()
        try:
            frozen.process.send_signal(signal.SIGCONT)
        except psutil.NoSuchProcess:
            # Its master has lost patience with it: it did nothing more since it was stopped.
            frozen.host.killed.setdefault(frozen.process.pid, frozen.at)


class _Frozen(msgspec.Struct, eq=False):
    host: Host
    process: psutil.Process
    at: int
    timer: threading.Timer | None = None


def _one_of(candidates: Callable[[], list[psutil.Process]], fault: Fault) -> psutil.Process:
    found = eventually(candidates, within=60, what=f"a process for {fault.kind}")
    return found[int(fault.pick * len(found))]


def _began_to_listen(host: Host) -> None:
    # Before it handles signals, TERM ends it as it ends any program.
    eventually(lambda: "supervisor started" in host.supervisor.output, within=60, what="a supervisor to stop")
