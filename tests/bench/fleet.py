"""What a supervisor and its workers cost while they have nothing to do: memory, start, idle processor.

    memory     PSS of the master, the keeper and each worker, from /proc: what is shared is counted once
    ready      from the start of `supervisor run` until every worker is ready, and until the last was forked and ready
    idle       processor time of all processes together, as a share of one core, over the seconds of `--idle`

With `--beside` other fleets are measured in the same run: huey and celery, where they are installed, with as many
workers, on files and no server (huey: SQLite; celery: the file system).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.support.eventually import eventually

TASKS = """
import taskqueue

@taskqueue.task
def nothing(number: int) -> dict:
    return {"number": number}
"""
CONFIG = """
[app]
modules = ["bench_tasks"]
[brokers.main]
url = "sqlite:///bench.db"
[queues.default]
workers = {workers}
[logging]
level = "warning"
"""
HUEY = """
from huey import SqliteHuey
huey = SqliteHuey(filename="huey.db")

@huey.task()
def nothing(number):
    return {"number": number}
"""
CELERY = """
import os
from celery import Celery
for folder in ("in", "out"):
    os.makedirs(folder, exist_ok=True)
app = Celery("bench_celery", broker="filesystem://", backend="file://" + os.getcwd())
app.conf.broker_transport_options = {"data_folder_in": "in", "data_folder_out": "in"}

@app.task
def nothing(number):
    return {"number": number}
"""
PEERS = {
    "huey": ("bench_huey.py", HUEY, ["-m", "huey.bin.huey_consumer", "bench_huey.huey", "-k", "process", "-w"]),
    "celery": ("bench_celery.py", CELERY, ["-m", "celery", "-A", "bench_celery", "worker", "-c"]),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 32])
    parser.add_argument("--idle", type=float, default=20.0, help="seconds to watch it do nothing")
    parser.add_argument("--beside", action="store_true", help="measure huey and celery, too, if they are installed")
    parser.add_argument("--quick", action="store_true", help="4 workers, 5 s")
    told, _ = parser.parse_known_args()
    if told.quick:
        told.workers, told.idle = [4], 5.0
    for workers in told.workers:
        print(json.dumps(ours(workers, told.idle)), flush=True)
    for name in PEERS if told.beside else ():
        print(json.dumps(peer(name, told.workers[0], told.idle)), flush=True)


def ours(workers: int, idle: float) -> dict[str, Any]:
    """A fleet of so many workers."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "bench_tasks.py").write_text(TASKS)
        (folder / "taskqueue.toml").write_text(CONFIG.format(workers=workers))
        command = [sys.executable, "-m", "taskqueue", "--config", "taskqueue.toml", "init"]
        subprocess.run(command, cwd=folder, env=_environment(), check=True, stdout=subprocess.DEVNULL)
        began = time.monotonic()
        with _running(["-m", "supervisor", "run", "--config", "taskqueue.toml"], folder) as master:
            forked = eventually(lambda: len(master.children()) == workers + 1 and time.monotonic() - began, within=60)
            ready = eventually(lambda: _all_up(folder) and time.monotonic() - began, within=60)
            return _measured(f"ours, {workers} workers", master, idle) | {
                "forked_after_s": round(forked, 2),
                "ready_after_s": round(ready, 2),
            }


def peer(name: str, workers: int, idle: float) -> dict[str, Any]:
    """Another one's fleet; only its name where it is not installed."""
    file, text, command = PEERS[name]
    if subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False).returncode:
        return {"fleet": name, "missing": f"pip install {name}"}
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / file).write_text(text)
        with _running([*command, str(workers)], Path(place)) as master:
            eventually(lambda: len(master.children(recursive=True)) >= workers, within=60)
            return _measured(f"{name}, {workers} workers", master, idle)


def _all_up(folder: Path) -> bool:
    status = [sys.executable, "-m", "supervisor", "--config", "taskqueue.toml", "status", "--json"]
    answer = subprocess.run(status, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    return answer.returncode == 0


def _measured(name: str, master: psutil.Process, idle: float) -> dict[str, Any]:
    time.sleep(2)  # noqa: TID251 - what starting takes must be over
    fleet = [master, *master.children(recursive=True)]
    before = sum(sum(process.cpu_times()[:2]) for process in fleet)
    time.sleep(idle)  # noqa: TID251 - idling is what is measured
    share = (sum(sum(process.cpu_times()[:2]) for process in fleet) - before) / idle
    memory = [process.memory_full_info() for process in fleet]
    return {
        "fleet": name,
        "processes": len(fleet),
        "pss_mb": round(sum(used.pss for used in memory) / 1e6, 1),
        "pss_mb_of_master": round(memory[0].pss / 1e6, 1),
        "one_more_mb": round(memory[-1].uss / 1e6, 1),
        "idle_percent": round(share * 100, 2),
    }


@contextmanager
def _running(arguments: list[str], folder: Path) -> Iterator[psutil.Process]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, env=_environment(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()


def _environment() -> dict[str, str]:
    return dict(os.environ, PYTHONPATH=os.pathsep.join([str(Path(__file__).parents[2]), "."]))
