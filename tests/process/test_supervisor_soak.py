"""Everything at once, at random, and again: kills, stops, storms of signals, files that are broken, other counts.

    SEED=7 make soak

The seed is printed, and with it what was done, how long the fleet took to converge, and what the master had in
descriptors and memory before and after.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest

from tests.support import tasks
from tests.support.eventually import eventually
from tests.support.supervision import RunningSupervisor, Site, settled

pytestmark = pytest.mark.process
SEED = int(os.environ.get("SEED", str(Random().randrange(10**6))))
DEFAULTS = "max_crashes = 1000000\nlease = 5"
SLACK = 8 * 1024 * 1024


def queues(count: int) -> str:
    return f"[queues.default]\nworkers = {count}\n[queues.other]\nworkers = 2"


class Chaos:
    """Faults, each done once when it is called; `done` counts them."""

    def __init__(self, site: Site, supervisor: RunningSupervisor, random: Random) -> None:
        self._site = site
        self._supervisor = supervisor
        self._random = random
        self.done: Counter[str] = Counter()
        self._faults: list[tuple[int, Callable[[], None]]] = [
            (6, self.kill),
            (2, self.terminate),
            (2, self.abort),
            (2, self.stop_for_a_moment),
            (1, self.kill_the_keeper),
            (4, self.storm),
            (2, self.broken_file),
            (3, self.other_count),
            (1, self.other_option),
            (1, self.restart),
        ]

    def strike(self) -> None:
        """One fault."""
        weights = [weight for weight, _ in self._faults]
        ((_, fault),) = self._random.choices(self._faults, weights)
        fault()
        self.done[fault.__name__] += 1

    def _signal(self, number: signal.Signals, *pools: str) -> None:
        """To a process of these pools (default: of the workers'), to one that runs a task if there is one."""
        slots = [slot for slot in self._supervisor.status.slots if slot.pid and slot.pool in (pools or WORKERS)]
        slots = [slot for slot in slots if slot.task_id] or slots
        if slots:
            with suppress(ProcessLookupError):
                os.kill(self._random.choice(slots).pid, number)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def abort(self) -> None:
        self._signal(signal.SIGABRT)

    def kill_the_keeper(self) -> None:
        self._signal(signal.SIGKILL, "keeper")

    def stop_for_a_moment(self) -> None:
        pid = self._random.choice([slot.pid for slot in self._supervisor.status.slots if slot.pid])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self._supervisor.ask("ping")
            os.kill(pid, signal.SIGCONT)

    def storm(self) -> None:
        for _ in range(20):
            self._supervisor.send(self._random.choice(["SIGHUP", "SIGUSR2", "SIGCONT", "SIGUSR1", "SIGCHLD"]))
        if self._random.random() < 0.8:
            eventually(lambda: self._supervisor.send("SIGCONT") or not self._supervisor.status.paused)

    def broken_file(self) -> None:
        good = self._site.config.read_text()
        self._site.config.write_text(self._random.choice(["[queues", "[app]\nno_such_key = 1", "", "queues = 3"]))
        self._supervisor.ask("reload")
        self._site.config.write_text(good)

    def other_count(self) -> None:
        self._site.write(queues=queues(self._random.randrange(1, 6)))
        self._supervisor.send("SIGHUP")

    def other_option(self) -> None:
        self._site.write(defaults=f"{DEFAULTS}\nretries = {self._random.randrange(100)}")
        self._supervisor.send("SIGHUP")

    def restart(self) -> None:
        self._supervisor.ask("restart", self._random.choice(["default", "other", "keeper", "default/0"]))


WORKERS = ("default", "other")


@pytest.mark.timeout(240)
def test_a_few_seconds_of_chaos_lose_no_task_and_run_none_twice_at_once(make_site):
    story(make_site, seconds=float(os.environ.get("SOAK_SECONDS", "8")))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_ten_minutes_of_chaos_lose_no_task_and_run_none_twice_at_once(make_site):
    story(make_site, seconds=600)


def story(make_site: Callable[..., Site], *, seconds: float) -> None:
    random = Random(SEED)
    site = make_site(queues=queues(3), defaults=DEFAULTS, supervisor="grace = 5")
    supervisor = site.start()
    before = measured(supervisor)
    chaos, handles = Chaos(site, supervisor, random), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name in WORKERS if waiting(site) < 100 else ():
            some = [tasks.traced.bind(str(site.ledger), random.random() / 10) for _ in range(random.randrange(12))]
            handles += site.queue.options(queue=name).enqueue_many(some)
        chaos.strike()
        # The next fault comes when a task or two have ended, or the fleet stands still.
        wait_a_little(site, random)
    ended = time.monotonic()
    site.write(queues=queues(3))
    eventually(lambda: supervisor.ask("reload")["ok"])
    eventually(lambda: supervisor.send("SIGCONT") or not supervisor.status.paused)
    for name in WORKERS:
        supervisor.tell("resume", name)
    supervisor.eventually(settled, within=60)
    converged = time.monotonic() - ended
    eventually(lambda: sum(site.queue.task_log.categories()[s] for s in ("created", "in_progress")) == 0, within=100)
    drained = time.monotonic() - ended
    after = measured(supervisor)
    sys.stdout.write(
        f"seed {SEED}: {sum(chaos.done.values())} faults {dict(chaos.done)}; {len(handles)} tasks, "
        f"{len(site.lines('start'))} runs; converged in {converged:.1f} s, all done in {drained:.1f} s; "
        f"master: descriptors {before[0]} -> {after[0]}, memory {before[1] >> 10} -> {after[1] >> 10} KiB\n"
    )
    assert site.queue.task_log.categories()["completed"] == len(handles)
    nothing_ran_twice_at_once(site, {handle.id for handle in handles})
    assert after[0] <= before[0]
    assert after[1] <= before[1] + SLACK


def waiting(site: Site) -> int:
    """How many tasks have not ended."""
    return sum(queue.broker.depth().total for queue in site.app.queues.values())


def wait_a_little(site: Site, random: Random) -> None:
    size, until = site.ledger.stat().st_size, time.monotonic() + random.random() / 2
    eventually(lambda: site.ledger.stat().st_size > size + 500 or time.monotonic() > until)


def measured(supervisor: RunningSupervisor) -> tuple[int, int]:
    """Descriptors of the master beside its children's, and its private memory."""
    spare = supervisor.spare_descriptors()
    return spare, supervisor.master.memory_full_info().uss


def nothing_ran_twice_at_once(site: Site, known: set[str]) -> None:
    """A run that another began after was over: it has an end before that, or its process was gone."""
    runs = defaultdict(list)
    for what, task_id, _, fence, pid, at in site.lines():
        runs[task_id].append((int(at), what, int(fence), int(pid)))
    assert set(runs) == known
    alive = {pid for pid in (int(line[4]) for line in site.lines()) if os.path.exists(f"/proc/{pid}")}
    for task_id, lines in runs.items():
        running = None
        for _, what, _, pid in sorted(lines):
            if what == "end":
                assert running == pid, f"seed {SEED}: {task_id} ended in {pid} while {running} ran it: {sorted(lines)}"
                running = None
            else:
                assert running is None or running not in alive, f"seed {SEED}: {task_id} ran twice: {sorted(lines)}"
                running = pid
        assert running is None, f"seed {SEED}: {task_id} has no end"
