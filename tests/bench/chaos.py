"""What can be thrown at a fleet: `python -m tests.bench chaos`.

Three supervisors with two workers each and one store, 20,000 tasks of mixed length, and 200 faults in an order that a
seed decides: `tests.support.chaos_story`, one story a store. SQS, for which a slow Python program stands here, gets
fewer tasks. The last two are of processes and hosts that stand still for longer than their leases.

Prints what was done, by kind, and what the ledger says. Takes an hour; `--quick` a few minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from tests.support import small_disk

LONG, SHORTER = ["--tasks", "20000", "--faults", "200"], ["--tasks", "5000", "--faults", "100"]
QUICK = ["--tasks", "300", "--faults", "11", "--workers", "1"]
STANDING_STILL = ["--suspend", "--tasks", "2000", "--faults", "40"]
STORIES = {
    "sqlite": ["--seed", "7", *LONG],
    "small-disk": ["--seed", "7", *LONG],
    "postgresql": ["--seed", "8", *LONG],
    "mariadb": ["--seed", "9", *SHORTER],
    "sqs": ["--seed", "10", "--tasks", "2500", "--faults", "120", "--ahead", "300"],
    "postgresql+suspend": ["--seed", "11", *STANDING_STILL],
    "mariadb+suspend": ["--seed", "12", *STANDING_STILL],
}


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=STORIES, nargs="+", default=list(STORIES))
    parser.add_argument("--quick", action="store_true", help="300 tasks")
    told, _ = parser.parse_known_args()
    for name in told.only:
        store = name.partition("+")[0]
        if store == "small-disk" and (reason := small_disk.why_not()):
            print(f"small-disk: {reason}", flush=True)
            continue
        options = [*STORIES[name], *(QUICK if told.quick else ())]  # what is said last counts
        subprocess.run([sys.executable, "-m", "tests.support.chaos_story", store, *options])
