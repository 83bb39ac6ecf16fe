"""Longer stories, for `make soak`: many tasks, many deaths, a ledger that counts."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest

from tests.support import tasks
from tests.support.eventually import eventually

pytestmark = [pytest.mark.process, pytest.mark.soak, pytest.mark.timeout(900)]
SEED = int(os.environ.get("SEED", "7"))


def test_fifty_thousand_tasks_while_workers_are_killed_at_random(project):
    """P2, P3, P4: all ended, none lost, every repeated run explained by a kill."""
    random, count, kills = Random(SEED), 50_000, 0
    for start in range(0, count, 1000):
        project.queue.enqueue_many(tasks.traced.bind(str(project.ledger)) for _ in range(start, start + 1000))
    workers = [project.worker() for _ in range(3)]

    def ended() -> int:
        return project.queue.task_log.categories()["completed"]

    while (before := ended()) < count:
        eventually(lambda before=before: ended() >= min(count, before + random.randrange(500, 4000)), within=120)
        if ended() < count - 5000:
            victim = random.randrange(len(workers))
            workers[victim].kill()
            workers[victim] = project.worker()
            kills += 1
    assert [worker.stop() for worker in workers] == [0] * 3
    project.nothing_left()
    starts = Counter(line[1] for line in project.lines("start"))
    assert len(starts) == count
    assert sum(starts.values()) <= count + kills * 500, f"seed {SEED}: more runs than {kills} kills explain"
    assert len({line[1] for line in project.lines("end")}) == count
