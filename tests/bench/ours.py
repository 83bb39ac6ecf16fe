"""One run of ours, as a program: `python -m tests.bench.ours KIND --config FILE ...` prints one JSON line of figures.

    flow      enqueue one by one and in bulk, drain, idle latency
    drain     enqueue in bulk, drain; with `--snapshot` while a REPEATABLE READ snapshot is held open (PostgreSQL)
    sqs       the same at SQS, with the calls that `--sqs` counts
    burn      tasks that use 10 ms of processor time each
    singles, bulk   enqueue, and nothing else

What is drained is checked: all counts must be right.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.bench import tasks
from tests.bench.arena import Arena, quantile
from tests.bench.stores import calls

BURN = 0.01


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--singles", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--latencies", type=int, default=0)
    parser.add_argument("--mean", type=float, default=0.1, help="seconds between two arrivals")
    parser.add_argument("--sqs", metavar="URL", help="the server that counts")
    parser.add_argument("--snapshot", metavar="URL", help="hold a snapshot of that database open")
    told = parser.parse_args()
    with Arena(told.config) as arena:
        figures = KINDS[told.kind](arena, told)
    print(json.dumps(figures))


def flow(arena: Arena, told: argparse.Namespace) -> dict[str, Any]:
    """What one queue can do."""
    arena.start(told.workers)
    began = time.process_time()
    bulk = arena.enqueued_in_bulk(told.tasks)
    figures: dict[str, Any] = {"bulk_enqueue_per_s": round(bulk)}
    figures["enqueue_cpu_us"] = round((time.process_time() - began) / told.tasks * 1e6, 1)
    figures["enqueue_per_s"] = round(arena.enqueued_one_by_one(told.singles))
    total = told.tasks + told.singles
    figures |= arena.drained(total)
    if told.latencies:
        figures["latencies_ms"] = arena.latencies(told.latencies, mean=told.mean)
        total += len(arena.stamps())
    return _closed(arena, total) | figures


def drain(arena: Arena, told: argparse.Namespace) -> dict[str, Any]:
    """A drain, and how long its turns took."""
    arena.start(told.workers, times_turns=True)
    arena.enqueued_in_bulk(told.tasks)
    with _held_snapshot(told.snapshot):
        figures = arena.drained(told.tasks)
    turns = arena.turns()
    figures |= {"turns": len(turns), "turn_ms_p99": quantile(turns, 0.99), "turn_ms_worst": max(turns)}
    return _closed(arena, told.tasks) | figures


@contextmanager
def _held_snapshot(url: str | None) -> Iterator[None]:
    if url is None:
        yield
        return
    engine = sa.create_engine(url, isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM pg_class")
            yield
    finally:
        engine.dispose()


def sqs(arena: Arena, told: argparse.Namespace) -> dict[str, Any]:
    """A drain, and the calls from the workers' release to its end."""
    arena.start(told.workers)
    arena.enqueued_in_bulk(told.tasks)
    before = Counter(calls(told.sqs))
    figures = arena.drained(told.tasks)
    arena.stop()  # what is acknowledged late is a call, too
    made = Counter(calls(told.sqs)) - before
    figures |= {"calls": dict(made), "calls_a_task": round(made.total() / told.tasks, 4)}
    return _closed(arena, told.tasks) | figures


def burn(arena: Arena, told: argparse.Namespace) -> dict[str, Any]:
    """Tasks that have something to do."""
    arena.start(told.workers)
    arena.queue.enqueue_many(tasks.burn.bind(BURN) for _ in range(told.tasks))
    figures = arena.drained(told.tasks)
    inside = sum(end - start for start, end in arena.stamps()) / 1e9
    return _closed(arena, told.tasks) | figures | {"busy": round(inside / told.workers / figures["seconds"], 4)}


def singles(arena: Arena, told: argparse.Namespace) -> dict[str, Any]:
    """Nothing but enqueuing, one by one."""
    return {"enqueue_per_s": round(arena.enqueued_one_by_one(told.tasks))}


def bulk(arena: Arena, told: argparse.Namespace) -> dict[str, Any]:
    """Nothing but enqueuing, 1,000 at a call."""
    return {"bulk_enqueue_per_s": round(arena.enqueued_in_bulk(told.tasks))}


def _closed(arena: Arena, total: int) -> dict[str, Any]:
    arena.stop()
    return {"checked": arena.check(total), "durable": arena.durable()}


KINDS = {"flow": flow, "drain": drain, "sqs": sqs, "burn": burn, "singles": singles, "bulk": bulk}

if __name__ == "__main__":
    main()
