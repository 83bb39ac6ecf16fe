"""How fast, beside others: `python -m tests.bench speed`.

Ours, a ceiling (raw SQL that does the same durable work) and other task queues run in turn, each several times with
fresh stores of their own; the table has medians, and the medians of the ratios within each round. All with two worker
processes and no-op tasks, ours as shipped.

    drain      from the release of workers that stand ready to the last stored report
    enqueue    one by one, each durable; and 1,000 at a call
    latency    from the start of `enqueue` to the task's first line, random arrivals, one at a time, idle workers
    claim      one turn of a worker: it stores reports and claims more

`--peers` names a folder with `limit.py` (the ceiling) and `run.py` (the peers), `--peers-python` the Python whose
environment has the peers (else that of `.peers` in the folder). Without them only ours is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from tests.bench import chart, profile, rows, table
from tests.bench.contestants import CONTESTANTS, ONCE, OTHER_PEERS, QUICK, Failed, Ground, Sizes
from tests.bench.outside import Missing, Outside
from tests.bench.stores import flush_time


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of little work, some 90 s on an idle machine")
    parser.add_argument("--full", action="store_true", help="also with millions of tasks: minutes more")
    parser.add_argument("--tasks", type=int, help="another size: so many for ours and the ceiling")
    parser.add_argument("--rounds", type=int, help="how often each runs (5; quick: 1)")
    parser.add_argument("--only", choices=rows.ROWS, nargs="+", metavar="ROW", help=f"of {', '.join(rows.ROWS)}")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="where the ceiling and the peers are")
    parser.add_argument("--peers-python", type=Path, metavar="FILE", help="the Python that has the peers")
    parser.add_argument("--postgresql", metavar="URL", help="a server to make databases at; else one is started")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="write a picture there, an SVG")
    parser.add_argument("--profile", choices=("postgresql", "sqlite"), help="measure nothing, say where the time goes")
    told = parser.parse_args()
    outside = Outside(told.peers, told.peers_python)
    named = told.postgresql or os.environ.get("TASKQUEUE_TEST_POSTGRESQL")
    sizes = QUICK if told.quick else Sizes()
    if told.tasks:
        sizes = sizes.of(told.tasks)
    with Ground(sizes, outside, named) as ground:
        if told.profile:
            profile.main(ground, told.profile)
            return
        bench = Bench(ground, wanted(told), quick=told.quick)
        for number in range(told.rounds or (1 if told.quick else 5)):
            bench.round(number)
    bench.show()
    if told.json:
        told.json.write_text(json.dumps(bench.everything(), indent=1) + "\n")
    if told.chart:
        told.chart.write_text(chart.chart(bench.rounds))
    if bench.failed:
        raise SystemExit(1)


def wanted(told: argparse.Namespace) -> list[str]:
    """The names of the rows."""
    return told.only or [name for name in rows.ROWS if told.full or name not in rows.SLOW]


class Bench:
    """Rounds, and what came of them."""

    def __init__(self, ground: Ground, wanted: list[str], *, quick: bool) -> None:
        self._ground = ground
        self._quick = quick
        self._rows = {name: rows.ROWS[name] for name in wanted}
        self.rounds: list[dict[str, dict[str, Any]]] = []
        self._missing: dict[str, str] = {}
        self.failed = False
        self._machine = {
            "processors": f"{len(os.sched_getaffinity(0))} x {processor()}",
            "python": platform.python_version(),
            "load before": f"{os.getloadavg()[0]:.1f}",
            "4 kB write and fsync": f"{flush_time()} ms",
        }

    def round(self, number: int) -> None:
        """Each of those who are needed, once."""
        found: dict[str, dict[str, Any]] = {}
        self.rounds.append(found)
        for name in self._contestants():
            print(f"round {number + 1}: {name} ...", flush=True)
            try:
                found[name] = CONTESTANTS[name](self._ground)
            except Missing as reason:
                self._missing[name] = str(reason)
                self.failed = self.failed or isinstance(reason, Failed)
                print(f"  {reason}", flush=True)
            else:
                print(f"  {json.dumps({k: v for k, v in found[name].items() if k != 'latencies_ms'})}", flush=True)

    def _contestants(self) -> list[str]:
        needed = {name for row in self._rows.values() for name in row.contestants} - set(self._missing)
        spare = OTHER_PEERS - {result.by for result in self.results().values()}
        skipped = spare if len(self.rounds) > 1 or self._quick else set()
        if len(self.rounds) > 1:
            skipped = skipped | ONCE
        return [name for name in CONTESTANTS if name in needed - skipped]

    def results(self) -> dict[str, rows.Result]:
        """By row."""
        return {name: rows.result_of(row, self.rounds) for name, row in self._rows.items()}

    def show(self) -> None:
        """The table and what belongs to it."""
        table.show(self.results(), self._missing, self._machine | self._notes())

    def _notes(self) -> dict[str, str]:
        last = {name: one[name] for one in self.rounds for name in one}
        notes = {}
        for name, figures in last.items():
            if "latency_ms_worst" in figures:
                took = [round(figures[f"latency_ms_{which}"], 2) for which in ("p50", "p99", "worst")]
                notes[f"latency, {name}"] = f"p50 {took[0]}, p99 {took[1]}, worst {took[2]} ms"
            if "database_cpu_us" in figures:
                notes[f"processor, {name}"] = (
                    f"{figures['cpu_us']} µs a task, PostgreSQL's sessions beside it {figures['database_cpu_us']} µs"
                )
            if "calls" in figures:
                notes[f"calls, {name}"] = ", ".join(f"{call} {n}" for call, n in figures["calls"].items())
            if "durable" in figures:
                notes[f"durable, {name}"] = ", ".join(f"{key} {value}" for key, value in figures["durable"].items())
            if "checked" in figures:
                notes[f"checked, {name}"] = figures["checked"]
        return notes

    def everything(self) -> dict[str, Any]:
        """For the file."""
        results = {name: vars(result) for name, result in self.results().items()}
        return {"machine": self._machine, "missing": self._missing, "rows": results, "rounds": self.rounds}


def processor() -> str:
    """What the kernel calls it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
