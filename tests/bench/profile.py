"""Where the time goes: `python -m tests.bench speed --profile`.

The ten functions with the most time of their own, of one worker that drains, of a process that enqueues one by one, and
of one that enqueues 1,000 at a call: from samples by py-spy of who holds the interpreter, where that is installed, else
from cProfile on every thread (its processor time), which makes calls look dearer than they are.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.bench.contestants import Ground
from tests.support.project import REPOSITORY

RATE, TOP = 500, 10
SUBJECTS = {
    "one worker that drains": ["taskqueue", "--config", "{config}", "worker", "default", "--drain"],
    "enqueue, one by one": ["tests.bench.ours", "singles", "--config", "{config}", "--tasks", "{few}"],
    "enqueue_many, 1,000 at a call": ["tests.bench.ours", "bulk", "--config", "{config}", "--tasks", "{many}"],
}


def main(ground: Ground, where: str) -> None:
    """Profile each subject on that kind of store, and print."""
    many, few = ground.sizes.ours, min(ground.sizes.ours, ground.sizes.singles * 10)
    for subject, command in SUBJECTS.items():
        with getattr(ground, f"on_{where}")() as config:
            if "worker" in command:
                ground.ours("bulk", config, tasks=many)
            arguments = [word.format(config=config, few=few, many=many) for word in command]
            lines, how = profiled(arguments)
        print(f"\n{subject}, {where} ({how})", *lines, sep="\n")


def profiled(command: Sequence[str]) -> tuple[list[str], str]:
    """Run that module with these arguments; its top ten, and by what they were found."""
    sampler = shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        if sampler:
            options = ["record", "--format", "raw", "--function", "--gil", "--rate", str(RATE), "--output", str(out)]
            _run([sampler, *options, "--", sys.executable, "-m", *command])
            return sampled(out.read_text()), "py-spy"
        _run([sys.executable, "-m", "tests.bench.profile", str(out), *command])
        return traced(out), "cProfile"


def _run(command: list[str]) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def sampled(stacks: str) -> list[str]:
    """The top ten of stacks as `outer;inner count`, one a line."""
    own: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        if not stack or "frozen importlib" in stack:
            continue  # starting
        own[stack.rpartition(";")[2]] += int(count)
    return [f"{n / own.total():6.1%}  {_short(function)}" for function, n in own.most_common(TOP)]


def traced(file: Path) -> list[str]:
    """The top ten of what cProfile wrote."""
    stats = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]  # typeshed does not know it
    own = Counter({f"{name} ({path}:{line})": row[2] for (path, line, name), row in stats.items()})
    total = sum(own.values())
    return [f"{seconds / total:6.1%}  {_short(function)}" for function, seconds in own.most_common(TOP)]


def _short(function: str) -> str:
    return re.sub(r"[^(]*/(site-packages|lib/python[\d.]+)/", "", function.replace(f"{REPOSITORY}/", ""))


def trace() -> None:
    """Run a module with cProfile on each of its threads: FILE MODULE ARGUMENT..."""
    out, module, *arguments = sys.argv[1:]
    profiles = [cProfile.Profile(time.thread_time)]
    run = threading.Thread.run

    def traced_run(self: threading.Thread) -> None:
        profiles.append(own := cProfile.Profile(time.thread_time))
        own.runcall(run, self)

    threading.Thread.run = traced_run  # type: ignore[method-assign]  # every thread from here on
    sys.argv = [module, *arguments]
    try:
        profiles[0].runcall(runpy.run_module, module, run_name="__main__", alter_sys=True)
    finally:
        stats = pstats.Stats(profiles[0])
        for one in profiles[1:]:
            stats.add(one)
        stats.dump_stats(out)


if __name__ == "__main__":
    trace()
