"""Three hosts, one store, tasks of mixed length, and faults of all kinds in an order that a number decides.

The promises are P1 to P6, P15 and P20.

    SEED=7 make soak ARGS="-k chaos"

What was done and what the ledger says is printed; `python -m tests.support.chaos_story` plays one story by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.support import small_disk
from tests.support.chaos import BEYOND_THE_LEASE, WEIGHTS, Chaos, schedule
from tests.support.chaos_stores import STORES
from tests.support.chaos_story import Plan, play
from tests.support.own_servers import Unreachable
from tests.support.project import REPOSITORY
from tests.support.servers import skip_or_fail

pytestmark = pytest.mark.process
#: a story that is told in every run is the same one; the long ones differ
SEED, ANY_SEED = (int(os.environ.get("SEED", seed)) for seed in ("5", str(Random().randrange(10**6))))
#: SQS is a slow Python program here, which looks at all messages of a queue at each call: hence fewer, and few ahead
AHEAD, MANY = {"sqs": 300}, {"sqs": 5_000}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("store", ["sqlite", "postgresql", pytest.param("sqs", marks=pytest.mark.soak)])
def test_a_little_chaos_loses_no_task_and_runs_none_twice_at_once(store, tmp_path):
    story(Plan(store=store, seed=SEED, tasks=150, faults=11, workers=1), tmp_path)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("store", ["postgresql", pytest.param("mariadb", marks=pytest.mark.soak)])
def test_who_stands_still_for_longer_than_its_lease_leaves_nothing_behind(store, tmp_path):
    story(Plan(store=store, seed=SEED, tasks=150, faults=5, suspend=True), tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("store", ["sqlite", "postgresql", "mariadb", "sqs"])
def test_twenty_thousand_tasks_in_chaos(store, tmp_path):
    tasks, ahead = MANY.get(store, 20_000), AHEAD.get(store, 1000)
    story(Plan(store=store, seed=ANY_SEED, tasks=tasks, faults=200, ahead=ahead), tmp_path)


@pytest.mark.timeout(120)
def test_a_disk_that_fills_up_loses_no_task():
    on_a_small_disk("--seed", str(SEED), "--tasks", "150", "--faults", "10", "--workers", "1")


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_twenty_thousand_tasks_on_a_disk_that_fills_up():
    on_a_small_disk("--seed", str(ANY_SEED))


def story(plan: Plan, folder: Path) -> None:
    try:
        assert play(plan, folder).violations == []
    except Unreachable as reason:
        skip_or_fail(str(reason))


def on_a_small_disk(*options: str) -> None:
    if reason := small_disk.why_not():
        pytest.skip(reason)
    played = subprocess.run(
        [sys.executable, "-m", "tests.support.chaos_story", "small-disk", *options],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    sys.stdout.write(played.stdout)
    assert played.returncode == 0, played.stdout + played.stderr


def test_a_seed_says_which_faults_come_where():
    def drawn(seed: int):
        return schedule(seed, tasks=20_000, faults=200, hosts=3, weights=WEIGHTS)

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert Counter(blow.kind for blow in drawn(7)).keys() == WEIGHTS.keys()
    assert {blow.host for blow in drawn(7)} == {0, 1, 2}
    places = [blow.after for blow in drawn(7)]
    assert places == sorted(places)
    assert places[-1] < 20_000


def test_every_fault_can_be_done():
    assert all(callable(getattr(Chaos, name)) for name in WEIGHTS | BEYOND_THE_LEASE)
    for kind, store in STORES.items():
        assert all(callable(getattr(store, name)) for name in store.weights), kind
