"""Enqueue rate, drain rate and idle latency on SQLite: `python -m tests.bench queue`.

    drain      two `taskqueue worker` processes, no-op tasks with a stored report, from the first report stored to the
               last, while the queue was filled beforehand
    enqueue    one by one, each durable; and 1,000 at a call
    latency    from the start of `enqueue` to the start of the task, one at a time on an idle worker

With `--ceiling FILE` a script that prints one JSON line with `drain_per_s`, `enqueue_per_s` and `latency_ms_p50` (raw
SQL that does the same durable work) runs in turn with ours, round by round, and ratios are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TASKS = """
import os, time
import taskqueue

@taskqueue.task
def nothing(number: int) -> dict:
    return {"number": number}

@taskqueue.task
def stamp(file: str) -> None:
    with open(file, "w") as out:
        out.write(str(time.monotonic_ns()))
    os.rename(file, file + ".done")
"""
CONFIG = """
[app]
modules = ["bench_tasks"]
[brokers.main]
url = "sqlite:///bench.db"
[logging]
level = "warning"
"""
FIGURES = ("drain_per_s", "enqueue_per_s", "bulk_enqueue_per_s", "latency_ms_p50")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ceiling", help="a script to run in turn with ours")
    parser.add_argument("--quick", action="store_true", help="5,000 tasks, one round")
    told, _ = parser.parse_known_args()
    if told.quick:
        told.tasks, told.rounds = 5_000, 1
    rounds: list[dict[str, dict[str, Any]]] = []
    for _ in range(told.rounds):
        found = {"ours": measure(told.tasks, told.workers)}
        if told.ceiling:
            found["ceiling"] = ceiling(told.ceiling)
        rounds.append(found)
        print(json.dumps(found), flush=True)
    show(rounds)


def show(rounds: list[dict[str, dict[str, Any]]]) -> None:
    """Medians over the rounds, and ratios within each."""
    for figure in FIGURES:
        ours = statistics.median(r["ours"][figure] for r in rounds)
        line = f"{figure:20} {ours:12,.2f}"
        ratios = [r["ours"][figure] / r["ceiling"][figure] for r in rounds if figure in r.get("ceiling", {})]
        print(line + (f"   ratio to the ceiling {statistics.median(ratios):.2f}" if ratios else ""))


def ceiling(script: str) -> dict[str, Any]:
    """One run of the ceiling."""
    command = [sys.executable, script, "sqlite", "--batch", "200"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return answer


def measure(tasks: int, workers: int) -> dict[str, Any]:
    """One round of ours, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bench_tasks.py").write_text(TASKS)
        file = Path(folder, "taskqueue.toml")
        file.write_text(CONFIG)
        sys.path.insert(0, folder)
        try:
            return _measure(file, tasks, workers)
        finally:
            sys.path.remove(folder)
            sys.modules.pop("bench_tasks", None)


def _measure(file: Path, tasks: int, workers: int) -> dict[str, Any]:
    import bench_tasks  # type: ignore[import-not-found]  # written a moment ago

    import taskqueue

    queue = taskqueue.connect(file)
    began = time.perf_counter()
    for start in range(0, tasks, 1000):
        queue.enqueue_many(bench_tasks.nothing.bind(n) for n in range(start, min(tasks, start + 1000)))
    bulk = tasks / (time.perf_counter() - began)
    began = time.perf_counter()
    for n in range(500):
        queue.enqueue(bench_tasks.nothing, n)
    single = 500 / (time.perf_counter() - began)
    drain = _drain(file, queue, tasks + 500, workers)
    return {
        "drain_per_s": round(drain),
        "enqueue_per_s": round(single),
        "bulk_enqueue_per_s": round(bulk),
        "latency_ms_p50": round(_latency(file, queue, bench_tasks.stamp), 2),
    }


def _worker(file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "taskqueue", "--config", str(file), "worker", "default"]
    return subprocess.Popen(command, env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))


def _drain(file: Path, queue: Any, tasks: int, workers: int) -> float:
    processes = [_worker(file) for _ in range(workers)]
    _until(lambda: _count(queue, "completed") == tasks, 600)
    _stop(processes)
    # By the log's own times: from the first report to the last.
    ends = [entry.finished_at for entry in (_edge(queue, descending=False), _edge(queue, descending=True))]
    return (tasks - 1) / max(1e-6, (ends[1] - ends[0]) / 1e6)


def _edge(queue: Any, *, descending: bool) -> Any:
    entries = queue.task_log.search(limit=1000, descending=descending).entries
    pick = max if descending else min
    return pick(entries, key=lambda entry: entry.finished_at)


def _latency(file: Path, queue: Any, stamp: Any, times: int = 100) -> float:
    process = _worker(file)
    target = file.parent / "stamp"
    took = []
    for number in range(times + 5):
        done = target.with_name("stamp.done")
        done.unlink(missing_ok=True)
        time.sleep(0.05)  # noqa: TID251 - an idle worker is what is measured
        began = time.monotonic_ns()
        queue.enqueue(stamp, str(target))
        _until(done.exists, 30)
        if number >= 5:
            took.append((int(done.read_text()) - began) / 1e6)
    _stop([process])
    return statistics.median(took)


def _count(queue: Any, label: str) -> int:
    return sum(n for counts in queue.task_log.stats().values() for s, n in counts.items() if s.label == label)


def _until(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("gave up waiting")
        time.sleep(0.005)  # noqa: TID251 - a bench waits


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait(30)
