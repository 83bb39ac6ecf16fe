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
from tests.support.runs import FROZEN, SUSPENDED, Fault
from tests.support.supervision import is_gone

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
#: likewise where leases are short, and who stands still does so for longer
BEYOND_THE_LEASE = {"suspend_worker": 4, "suspend_host": 3, "kill_worker": 2, "kill_master": 1, "lose_host": 1}
#: seconds after the lease's end in which a master sees that one of its own stands still, and ends it
NOTICED = 4.0
DAY = 86_400.0


class Blow(msgspec.Struct, frozen=True):
    """One fault that is to come. `pick` (0 to 1) says which process, `size` (0 to 1) how long or how much."""

    after: int
    kind: str
    host: int
    pick: float
    size: float


class Trouble(Protocol):
    """What can go wrong with a store: each of `weights` is a method of that name."""

    #: how often each happens, as in WEIGHTS
    weights: Mapping[str, int]


def schedule(seed: int, *, tasks: int, faults: int, hosts: int, weights: Mapping[str, int]) -> list[Blow]:
    """So many faults while so many tasks run: every kind once if there are enough, the others by weight."""
    random = Random(seed)
    kinds = list(weights)
    drawn = random.choices(kinds, list(weights.values()), k=max(0, faults - len(kinds)))
    chosen = [*random.sample(kinds, min(faults, len(kinds))), *drawn]
    random.shuffle(chosen)
    step = tasks * 0.9 / (faults + 1)
    return [
        Blow(int(step * (number + 1)), kind, random.randrange(hosts), random.random(), random.random())
        for number, kind in enumerate(chosen)
    ]


class Chaos:
    """Does what the schedule says; `done` counts it.

    A process is frozen for `freeze` seconds at most, which is shorter than the `lease`; or suspended, which is longer.
    """

    def __init__(self, hosts: Sequence[Host], trouble: Trouble, *, freeze: float, lease: float) -> None:
        self.done: Counter[str] = Counter()
        self._hosts = hosts
        self._trouble = trouble
        self._freeze = freeze
        self._lease = lease
        self._frozen: list[_Frozen] = []
        self._lock = threading.Lock()

    def strike(self, blow: Blow) -> None:
        """One blow."""
        if blow.kind in self._trouble.weights:
            getattr(self._trouble, blow.kind)(blow.size)
        else:
            getattr(self, blow.kind)(self._hosts[blow.host], blow)
        self.done[blow.kind] += 1

    # What may happen

    def kill_worker(self, host: Host, blow: Blow) -> None:
        host.kill(_one_of(host.working, blow))

    def freeze_worker(self, host: Host, blow: Blow) -> None:
        self._stop(host, _one_of(host.working, blow), blow)

    def kill_keeper(self, host: Host, blow: Blow) -> None:
        host.kill(_one_of(host.keeping, blow))

    def freeze_keeper(self, host: Host, blow: Blow) -> None:
        self._stop(host, _one_of(host.keeping, blow), blow)

    def kill_master(self, host: Host, blow: Blow) -> None:
        """And another one is started at once, as whoever looks after services does."""
        host.supervisor.kill()
        host.start(ready=False)

    def freeze_master(self, host: Host, blow: Blow) -> None:
        self._stop(host, host.supervisor.master, blow)

    def lose_host(self, host: Host, blow: Blow) -> None:
        """And it comes back."""
        host.lose()
        host.start(ready=False)

    def deploy(self, host: Host, blow: Blow) -> None:
        for frozen in [one for one in self._frozen if one.host is host]:
            self._thaw(frozen)
        _began_to_listen(host)
        assert host.supervisor.stop() == 0
        host.start(ready=False)

    def set_clock(self, host: Host, blow: Blow) -> None:
        """Forward or back, by a week at most."""
        host.set_clock((blow.size * 2 - 1) * 7 * DAY)

    def suspend_worker(self, host: Host, blow: Blow) -> None:
        """Until it has lost what it held, and perhaps until its master has ended it for that."""
        worker = _one_of(host.working, blow)
        at = time.monotonic_ns()
        with suppress(psutil.NoSuchProcess):
            worker.send_signal(signal.SIGSTOP)
            self._wait(blow, unless=lambda: is_gone(worker))
            host.faults.append(Fault(pid=worker.pid, at=at, until=time.monotonic_ns(), kind=SUSPENDED))
            worker.send_signal(signal.SIGCONT)

    def suspend_host(self, host: Host, blow: Blow) -> None:
        """All its processes stand still at once, as when a virtual machine is moved, or a laptop sleeps."""
        at = time.monotonic_ns()
        pids = host.freeze()
        self._wait(blow)
        until = time.monotonic_ns()
        host.faults += [Fault(pid=pid, at=at, until=until, kind=SUSPENDED) for pid in sorted(pids)]
        host.signal(signal.SIGCONT)

    def _wait(self, blow: Blow, *, unless: Callable[[], bool] = lambda: False) -> None:
        over = time.monotonic() + self._lease + blow.size * 1.5 * NOTICED
        eventually(lambda: unless() or time.monotonic() > over, within=600, what="the end of its leases")

    # What ends by itself

    def end(self) -> None:
        """All that was frozen goes on, and clocks are right again."""
        for frozen in list(self._frozen):
            self._thaw(frozen)
        for host in self._hosts:
            host.set_clock(0.0)

    def _stop(self, host: Host, process: psutil.Process, blow: Blow) -> None:
        with suppress(psutil.NoSuchProcess):
            frozen = _Frozen(host, process, time.monotonic_ns())
            process.send_signal(signal.SIGSTOP)
            self._frozen.append(frozen)
            # By a clock of its own: other faults take their time, and nobody may be frozen for longer than a lease.
            frozen.timer = threading.Timer(self._freeze * blow.size, self._thaw, [frozen])
            frozen.timer.start()

    def _thaw(self, frozen: _Frozen) -> None:
        with self._lock:
            if frozen not in self._frozen:
                return
            self._frozen.remove(frozen)
        if frozen.timer is not None:
            frozen.timer.cancel()
        pid, until = frozen.process.pid, time.monotonic_ns()
        frozen.host.faults.append(Fault(pid=pid, at=frozen.at, until=until, kind=FROZEN))
        with suppress(psutil.NoSuchProcess):  # its master has lost patience with it
            frozen.process.send_signal(signal.SIGCONT)


class _Frozen(msgspec.Struct, eq=False):
    host: Host
    process: psutil.Process
    at: int
    timer: threading.Timer | None = None


def _one_of(candidates: Callable[[], list[psutil.Process]], blow: Blow) -> psutil.Process:
    found = eventually(candidates, within=60, what=f"a process for {blow.kind}")
    return found[int(blow.pick * len(found))]


def _began_to_listen(host: Host) -> None:
    # Before it handles signals, TERM ends it as it ends any program.
    eventually(lambda: "supervisor started" in host.supervisor.output, within=60, what="a supervisor to stop")
