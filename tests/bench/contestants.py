"""Who runs in a round, and how: ours, the ceiling and the peers, each a program with a fresh store of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.bench import levels
from tests.bench.arena import quantile
from tests.bench.outside import Missing, Outside, Redis
from tests.bench.stores import Postgresql, Sqs, project, text_of
from tests.support.own_servers import Unreachable
from tests.support.project import REPOSITORY

Figures = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How many tasks each of them gets."""

    ours: int = 200_000
    ceiling: int = 200_000
    pgqueuer_10: int = 60_000
    pgqueuer_200: int = 100_000
    fast_peer: int = 20_000
    slow_peer: int = 3_000
    sqs: int = 3_000
    burn: int = 2_000
    snapshot: int = 200_000
    singles: int = 2_000
    latencies: int = 200
    peer_latencies: int = 100
    waiting: int = 1_000_000
    ended: int = 5_000_000
    cycle: int = 10_000
    cycles: int = 20

    def of(self, tasks: int) -> Sizes:
        """These, with so many tasks for ours and the ceiling."""
        drains = {"ours": tasks, "ceiling": tasks, "snapshot": tasks, "cycle": min(self.cycle, tasks)}
        few = {"singles": min(self.singles, tasks), "latencies": min(self.latencies, 3 + tasks // 100)}
        return replace(self, **drains, **few, waiting=5 * tasks, ended=25 * tasks)


QUICK = Sizes(20_000, 20_000, 6_000, 12_000, 3_000, 1_000, 300, 300, 20_000, 500, 30, 20, 100_000, 500_000, 10_000, 3)


class Failed(Missing):
    """Ours did not do what it promises."""


class Ground:
    """Servers, started when first needed, and what can run on them."""

    def __init__(self, sizes: Sizes, outside: Outside, postgresql: str | None) -> None:
        self.sizes = sizes
        self._outside = outside
        self._named = postgresql
        self._servers: dict[str, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stack.close()

    def _server(self, name: str, start: Callable[[], Any]) -> Any:
        if name not in self._servers:
            self._servers[name] = start()
            self._stack.callback(self._servers[name].close)
        return self._servers[name]

    @property
    def postgresql(self) -> Postgresql:
        """The server of this bench. Raises Missing."""
        try:
            server: Postgresql = self._server("postgresql", partial(Postgresql, self._named))
        except Unreachable as error:
            raise Missing(str(error)) from error
        return server

    @contextmanager
    def on_postgresql(self) -> Iterator[Path]:
        """A project of ours there."""
        with self.postgresql.database() as url, project(f'url = "{text_of(url)}"') as config:
            yield config

    @contextmanager
    def on_sqlite(self) -> Iterator[Path]:
        """A project of ours there."""
        with project('url = "sqlite:///bench.db"') as config:
            yield config

    # Ours

    def ours(self, kind: str, config: Path, *arguments: str, tasks: int) -> Figures:
        """One run of ours."""
        return _run("ours", kind, "--config", str(config), "--tasks", str(tasks), *arguments)

    def flow(self, where: str) -> Figures:
        """What one queue can do, on PostgreSQL or SQLite."""
        sizes = self.sizes
        numbers = {"--singles": sizes.singles, "--latencies": sizes.latencies}
        arguments = [str(word) for pair in numbers.items() for word in pair]
        with getattr(self, f"on_{where}")() as config:
            figures = self.ours("flow", config, *arguments, tasks=sizes.ours)
        took = figures["latencies_ms"]
        quantiles = {"p50": quantile(took, 0.5), "p99": quantile(took, 0.99), "worst": max(took)}
        return figures | {f"latency_ms_{name}": value for name, value in quantiles.items()}

    def sqs(self) -> Figures:
        """A drain on moto's server, with its calls a task."""
        server: Sqs = self._server("sqs", Sqs)
        broker = f'url = "sqs://eu-west-1"\nendpoint_url = "{server.url}"\nprefix = "bench{os.urandom(4).hex()}_"'
        with tempfile.TemporaryDirectory() as folder:
            with project(broker, f'[task_log]\nurl = "sqlite:///{folder}/log.db"') as config:
                return self.ours("sqs", config, "--sqs", server.url, tasks=self.sizes.sqs)

    def burn(self) -> Figures:
        """Tasks with something to do."""
        with self.on_postgresql() as config:
            return self.ours("burn", config, tasks=self.sizes.burn)

    def snapshot(self, *, held: bool) -> Figures:
        """A drain, whose turns are timed."""
        with self.postgresql.database() as url, project(f'url = "{text_of(url)}"') as config:
            arguments = ["--snapshot", text_of(url)] if held else []
            return self.ours("drain", config, *arguments, tasks=self.sizes.snapshot)

    def levels(self) -> Figures:
        """Drains beside millions of other tasks."""
        sizes = {
            "level": self.sizes.cycle,
            "waiting": self.sizes.waiting,
            "ended-entries": self.sizes.ended,
            "tasks": self.sizes.cycle,
            "cycles": self.sizes.cycles,
        }
        arguments = [str(word) for name, size in sizes.items() for word in (f"--{name}", size)]
        with ExitStack() as stack:
            for name in levels.NAMES:
                arguments += [f"--{name}", str(stack.enter_context(self.on_postgresql()))]
            return _run("levels", *arguments)

    # The others

    @contextmanager
    def _environment(self, **more: str) -> Iterator[dict[str, str]]:
        with tempfile.TemporaryDirectory(prefix="taskqueue-bench-") as folder:
            files = {"BENCH_FILE": f"{folder}/stamps", "BENCH_SQLITE": f"{folder}/bench.db"}
            yield {"TMPDIR": folder, **files, **more}

    def ceiling(self, kind: str, batch: int) -> Figures:
        """Raw SQL."""
        with ExitStack() as stack:
            more = {}
            if kind == "pg":
                more["BENCH_PG"] = text_of(stack.enter_context(self.postgresql.database()), "postgresql")
            environment = stack.enter_context(self._environment(**more))
            return self._outside.ceiling(kind, environment, tasks=self.sizes.ceiling, batch=batch)

    def peer(self, driver: str, size: str, **more: str) -> Figures:
        """Another task queue."""
        with ExitStack() as stack:
            if driver.endswith("_pg"):
                more["BENCH_PG"] = text_of(stack.enter_context(self.postgresql.database()), "postgresql")
            elif driver.endswith("_redis"):
                more["BENCH_REDIS"] = self._server("redis", Redis).url
            environment = stack.enter_context(self._environment(**more))
            latencies = self.sizes.peer_latencies
            return self._outside.peer(driver, environment, tasks=getattr(self.sizes, size), latencies=latencies)


def _run(module: str, *arguments: str) -> Figures:
    command = [sys.executable, "-m", f"tests.bench.{module}", *arguments]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run(command, env=environment, check=False, stdout=subprocess.PIPE)
    if ran.returncode:
        raise Failed("failed, as said above")
    figures: Figures = json.loads(ran.stdout)
    return figures


#: in the order of a round: ours between the others
CONTESTANTS: dict[str, Callable[[Ground], Figures]] = {
    "ours-postgresql": lambda g: g.flow("postgresql"),
    "ceiling-postgresql-200": lambda g: g.ceiling("pg", 200),
    "pgqueuer-200": lambda g: g.peer("pgqueuer_pg", "pgqueuer_200", BENCH_BATCH="200"),
    "ours-snapshot": lambda g: g.snapshot(held=True),
    "ours-no-snapshot": lambda g: g.snapshot(held=False),
    "ceiling-postgresql-500": lambda g: g.ceiling("pg", 500),
    "ours-sqlite": lambda g: g.flow("sqlite"),
    "ceiling-sqlite-200": lambda g: g.ceiling("sqlite", 200),
    "huey-sqlite": lambda g: g.peer("huey_sqlite", "fast_peer"),
    "pgqueuer-10": lambda g: g.peer("pgqueuer_pg", "pgqueuer_10", BENCH_BATCH="10"),
    "ours-sqs": lambda g: g.sqs(),
    "ours-burning": lambda g: g.burn(),
    "huey-redis": lambda g: g.peer("huey_redis", "fast_peer"),
    "saq-redis": lambda g: g.peer("saq_redis", "fast_peer"),
    "dramatiq-redis": lambda g: g.peer("dramatiq_redis", "fast_peer"),
    "celery-redis": lambda g: g.peer("celery_redis", "slow_peer"),
    "rq-redis": lambda g: g.peer("rq_redis", "slow_peer"),
    "saq-postgresql": lambda g: g.peer("saq_pg", "slow_peer"),
    "procrastinate": lambda g: g.peer("procrastinate_pg", "slow_peer"),
    "awa": lambda g: g.peer("awa_pg", "fast_peer"),
    "levels": lambda g: g.levels(),
}
#: it has cycles of its own
ONCE = {"levels"}
#: left out of a quick run: seldom the best of their kind
OTHER_PEERS = {"saq-redis", "dramatiq-redis", "celery-redis", "rq-redis", "saq-postgresql", "procrastinate", "awa"}
