"""Drains beside millions of other tasks, as a program that prints one JSON line: `python -m tests.bench.levels`

Three databases: one with 10,000 tasks that go on waiting, one with 1,000,000, and one with 5,000,000 ended entries in
its log. In turn, a number of times, each is topped up by as many tasks and its workers are let go until as many have
ended. So the work is the same, only what stands around it differs.
"""

from __future__ import annotations

import argparse
import json
import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from taskqueue.database.engine import Database
from taskqueue.settings import load
from taskqueue.status import Status
from tests.bench.arena import Arena
from tests.bench.stores import administer

NAMES = ("base", "million", "ended")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in NAMES:
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="CONFIG")
    parser.add_argument("--level", type=int, default=10_000, help="tasks that go on waiting")
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--ended-entries", type=int, default=5_000_000)
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks of one cycle")
    parser.add_argument("--cycles", type=int, default=20)
    told = parser.parse_args()
    levels = {"base": told.level, "million": told.waiting, "ended": told.level}
    with ExitStack() as stack:
        arenas = {name: stack.enter_context(Arena(getattr(told, name))) for name in NAMES}
        for arena in arenas.values():
            arena.start(2)
            arena.enqueued_in_bulk(1)
            arena.drained(1, pausing=True)
        fill_with_ended(arenas["ended"].database, told.ended_entries)
        for name, arena in arenas.items():
            arena.enqueued_in_bulk(levels[name])
            settle(getattr(told, name))
        figures = _measured(arenas, levels, told)
        for arena in arenas.values():
            arena.stop()
    print(json.dumps(figures))


def _measured(arenas: dict[str, Arena], levels: dict[str, int], told: argparse.Namespace) -> dict[str, Any]:
    took: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(told.cycles):
        for name, arena in arenas.items():
            arena.enqueued_in_bulk(levels[name] + told.tasks - arena.open())
            figures = arena.drained(told.tasks, pausing=True)
            took[name].append(figures["seconds"] / figures["tasks"])
    rates = {f"{name}_per_s": round(1 / statistics.median(each)) for name, each in took.items()}
    worst = {f"{name}_slowest_per_s": round(1 / max(each)) for name, each in took.items()}
    return rates | worst | {"cycles": told.cycles, "tasks_a_cycle": told.tasks}


def fill_with_ended(database: Database, count: int) -> None:
    """Entries like that of a task which has ended there, made by the database itself."""
    entry, tally = database.tables.entry, database.tables.tally
    series = sa.func.generate_series(1, count).table_valued("number").render_derived(name="series")
    text = sa.func.lpad(sa.func.to_hex(series.c.number), 12, "0")
    ids = sa.func.concat(sa.func.substr(text, 1, 8), "-", sa.func.substr(text, 9), "-7000-8000-000000000000")
    one = sa.select(entry).where(entry.c.status == int(Status.COMPLETED)).limit(1).subquery()
    rows = sa.select(*(ids if column.name == "id" else column for column in one.c)).join_from(one, series, sa.true())
    with database.begin() as transaction:
        transaction.execute(sa.insert(entry).from_select([column.name for column in entry.c], rows))
        counted = {"queue": "default", "what": str(int(Status.COMPLETED)), "delta": count}
        transaction.execute(sa.insert(tally).values(**counted))


def settle(config: Path) -> None:
    """What autovacuum does within minutes, done at once."""
    administer(load(config).brokers["main"].url, "VACUUM (ANALYZE)")


if __name__ == "__main__":
    main()
