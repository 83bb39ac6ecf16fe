"""A worker and a master that live for long: what they have in the end is what they had at first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from tests.support import tasks
from tests.support.eventually import eventually
from tests.support.gauges import Sample, at_work, grown, sample, told
from tests.support.project import Project
from tests.support.servers import ask
from tests.support.stores import configured, database_of
from tests.support.supervision import RunningSupervisor, Site, settled

pytestmark = [pytest.mark.process, pytest.mark.soak, pytest.mark.timeout(3600)]
ROUNDS = 100
STORES = ["sqlite", "postgresql"]


def connections(stores: str, folder: Path) -> int:
    """Sessions that the server has for this database. A connection to a file is one of the descriptors."""
    if stores == "sqlite":
        return 0
    name = sa.make_url(database_of(stores, folder)).database
    return int(ask(stores, f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")[0])


def drained(project: Project) -> None:
    eventually(lambda: project.queue.queue("default").broker.depth().total == 0, within=300, what="an empty queue")


@pytest.mark.parametrize("stores", STORES)
def test_two_hundred_thousand_tasks_leave_a_worker_as_it_was(
    make_project: Callable[..., Project], tmp_path: Path, stores: str
) -> None:
    project = make_project(stores=configured(stores, tmp_path))
    project.queue.initialize()
    worker = project.worker()
    process, samples = psutil.Process(worker.pid), []
    for _ in range(ROUNDS):
        project.queue.enqueue_many(tasks.add.bind(n, 1) for n in range(2_000))
        drained(project)
        samples.append(at_work(process))
    told(f"worker, {stores}", samples)
    assert project.queue.task_log.categories()["completed"] == ROUNDS * 2_000
    # One for each thread, opened when they happen to be in the store at once, and the one that listens.
    assert max(one.connections for one in samples) <= max(one.threads for one in samples) + 1
    assert grown([replace(one, connections=0) for one in samples]) == []
    assert worker.stop() == 0


@pytest.mark.parametrize("stores", STORES)
def test_a_thousand_recycled_workers_leave_their_master_and_its_keeper_as_they_were(
    make_site: Callable[..., Site], tmp_path: Path, stores: str
) -> None:
    site = make_site(stores=configured(stores, tmp_path), defaults="max_tasks = 1")
    supervisor = site.start()
    keeper = supervisor.keeper
    masters: list[Sample] = []
    keepers: list[Sample] = []
    for number in range(ROUNDS):
        site.queue.enqueue_many(tasks.add.bind(n, 1) for n in range(10))
        drained(site)
        supervisor.says("replaced, as it asked", times=10 * (number + 1))
        supervisor.eventually(settled, within=60)
        masters.append(measured(supervisor, connections(stores, tmp_path)))
        keepers.append(sample(psutil.Process(keeper)))
    told(f"master, {stores}", masters)
    told(f"keeper, {stores}", keepers)
    assert grown(masters) == []
    assert grown(keepers) == []


def measured(supervisor: RunningSupervisor, connected: int) -> Sample:
    """The master, while none of its children is on its way in or out."""
    return sample(supervisor.master, connections=connected, others=2 * len(supervisor.master.children()))
