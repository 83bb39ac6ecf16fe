"""Three hosts, one store, many tasks of mixed length, and a schedule of faults: what becomes of it.

    python -m tests.support.chaos_story postgresql --seed 7 --tasks 20000

plays one outside of the suite, in a folder for temporary files; exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from tests.support import books, small_disk
from tests.support.chaos import BEYOND_THE_LEASE, WEIGHTS, Chaos, schedule
from tests.support.chaos_stores import STORES, Store
from tests.support.eventually import eventually
from tests.support.hosts import Host
from tests.support.ledger import Ledger, stale, verdict
from tests.support.producer import Producer
from tests.support.runs import Fault

NAMES = ("red", "green", "blue")
#: longer than any fault here lasts, on a busy machine too: what a task survives is its lease. Where processes stand
#: still for longer than that, it is short
LEASE, SHORT_LEASE = 20.0, 4.0
#: seconds that a task takes at most, and how many in a hundred are of that kind; longer where workers are to stand
#: still in the middle of one
LENGTHS, LONGER = {0.0: 70, 0.02: 20, 0.2: 8, 1.0: 2}, {0.0: 40, 0.2: 30, 2.0: 30}
DEFAULTS = 'lease = {lease}\nmax_crashes = 1000000\ncommit = "{commit}"'


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is played. `freeze`: for how long a process is frozen at most, in seconds.

    `suspend`: workers and hosts stand still for longer than their leases instead, and the store is left in peace.
    """

    store: str
    seed: int
    tasks: int
    faults: int
    workers: int = 2
    ahead: int = 1000
    freeze: float = 3.0
    suspend: bool = False

    @property
    def lease(self) -> float:
        """Seconds."""
        return SHORT_LEASE if self.suspend else LEASE

    def weights(self, store: Store) -> Mapping[str, int]:
        """What may happen, and how often."""
        return BEYOND_THE_LEASE if self.suspend else WEIGHTS | dict(store.weights)

    @property
    def commit(self) -> str:
        """Odd seeds store each report before the next task begins."""
        return "each" if self.seed % 2 else "batch"


class Story:
    """One plan, played in a folder; `report` is what is to be said of it."""

    def __init__(self, plan: Plan, folder: Path, store: Store) -> None:
        self.plan = plan
        self._store = store
        parts = {
            "stores": store.text,
            "defaults": DEFAULTS.format(lease=plan.lease, commit=plan.commit),
            "queues": f"[queues.default]\nworkers = {plan.workers}",
        }
        self.hosts = [Host(folder / name, **parts) for name in NAMES]
        self.ledger = Ledger(folder / "ledger")
        self.producer = Producer(
            self.hosts,
            self.ledger,
            seed=plan.seed,
            count=plan.tasks,
            ahead=plan.ahead,
            lengths=LONGER if plan.suspend else LENGTHS,
        )
        self.chaos = Chaos(self.hosts, store, freeze=plan.freeze, lease=plan.lease)
        self.violations: list[str] = []
        self._began = time.monotonic()

    def play(self) -> None:
        """From the first start to the last stop; what is wrong is in `violations`."""
        for host in self.hosts:
            host.start(ready=False)
        self.producer.start()
        for blow in schedule(
            self.plan.seed,
            tasks=self.plan.tasks,
            faults=self.plan.faults,
            hosts=len(self.hosts),
            weights=self.plan.weights(self._store),
        ):
            self._until(blow.after)
            self.chaos.strike(blow)
        self.chaos.end()
        self._store.calm()
        self._until(self.plan.tasks)
        self._all_completed()
        self._stop()
        self.violations += self._verdict()

    def _until(self, count: int) -> None:
        """Until so many tasks have ended; some of them must, every two minutes."""

        def there() -> bool:
            if self.producer.error is not None:
                raise self.producer.error
            return self.ledger.has_ended(count)

        while not there():
            more = len(self.ledger.ended) + 1
            eventually(partial(self.ledger.has_ended, more), within=120, what=f"the end of task {more}")

    def _all_completed(self) -> None:
        """The log says so of all, and no message is left: SQS brings some twice, or late."""
        app = self.hosts[0].app
        eventually(lambda: app.task_log.categories()["completed"] == self.plan.tasks, within=120, what="all completed")
        eventually(lambda: books.nothing_in_hand(app), within=120, what="empty queues")

    def _stop(self) -> None:
        for host in self.hosts:
            host.supervisor.ready()
        living = sorted(process.pid for host in self.hosts for process in host.working())
        app = self.hosts[0].app
        eventually(lambda: books.registered(app) == living, within=60, what=f"only the workers {living} registered")
        for host in self.hosts:
            host.supervisor.end()
            for supervisor in host.supervisors:
                supervisor.nothing_left()

    def _verdict(self) -> list[str]:
        """What may not be. What befalls a store explains no second run: workers go on as long as their leases (P15)."""
        return verdict(
            self.ledger,
            books.read(self.hosts[0].app),
            enqueued=self.producer.enqueued,
            faults=self.faults,
            commit_each=self.plan.commit == "each",
        )

    @property
    def faults(self) -> list[Fault]:
        """What was done to processes so far."""
        return [fault for host in self.hosts for fault in host.faults]

    @property
    def report(self) -> str:
        """Seed, faults by kind, and the ledger's verdict."""
        by_kind = {**self.chaos.done, **self._store.done}
        runs = sum(map(len, self.ledger.runs.values()))
        late = f" ({stale(self.ledger, self.faults)} stale for a moment)" if self.plan.suspend else ""
        verdict = "; ".join(self.violations) or "lost 0, overlapping 0, unexplained 0"
        return (
            f"{self.plan.store}, seed {self.plan.seed}, commit {self.plan.commit}: {self.plan.tasks:,} tasks, "
            f"{runs:,} runs{late}, {sum(by_kind.values())} faults {json.dumps(dict(sorted(by_kind.items())))}, "
            f"{self.producer.refused} enqueues repeated, {time.monotonic() - self._began:.0f} s. {verdict}"
        )

    def close(self) -> None:
        """End what still runs, and what does not, too."""
        with ExitStack() as stack:
            for host in self.hosts:
                stack.callback(host.close)
                for supervisor in host.supervisors:
                    stack.callback(supervisor.clear_away)
            stack.callback(self.producer.end)
            stack.callback(self.chaos.end)


def play(plan: Plan, folder: Path) -> Story:
    """Play it; its logs stay in `folder`. Prints the report, whatever happens."""
    with ExitStack() as stack:
        (folder / "store").mkdir(exist_ok=True)
        store = stack.enter_context(STORES[plan.store](folder / "store", plan.seed))
        story = Story(plan, folder, store)
        stack.callback(story.close)
        try:
            story.play()
        except BaseException as error:
            story.violations.append(f"{type(error).__name__}: {error}")
            raise
        finally:
            sys.stdout.write(f"{story.report}\n")
    return story


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what the command line says; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", choices=STORES)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ahead", type=int, default=1000)
    parser.add_argument("--suspend", action="store_true", help="stand still for longer than the lease")
    parser.add_argument("--folder", type=Path, help="where logs, ledger and stores are kept (default: nowhere)")
    told = vars(parser.parse_args(arguments))
    folder = told.pop("folder")
    with tempfile.TemporaryDirectory(prefix="tq-") as temporary:
        folder = folder or Path(temporary)
        if told["store"] == "small-disk" and not (folder / "store").is_mount():
            return _on_a_small_disk(folder, arguments if arguments is not None else sys.argv[1:])
        return 1 if play(Plan(**told), folder).violations else 0


def _on_a_small_disk(folder: Path, arguments: Sequence[str]) -> int:
    """The same again, where the store's folder is one."""
    (folder / "store").mkdir(exist_ok=True)
    program = [sys.executable, "-m", "tests.support.chaos_story", *arguments, "--folder", str(folder)]
    return subprocess.run(small_disk.command(folder / "store", program)).returncode


if __name__ == "__main__":
    sys.exit(main())
