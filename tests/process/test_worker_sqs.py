"""Workers as processes on queues at SQS, with the task log in a database (P2, P3)."""

from __future__ import annotations

import itertools

import pytest

from taskqueue import Status
from taskqueue.ids import new_id
from tests.support import sqs, tasks
from tests.support.eventually import eventually
from tests.support.sqs_double import Relay, double, refusal

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]
STORES = """
url = "sqs://{region}"
endpoint_url = "{endpoint}"
prefix = "{prefix}"
[task_log]
url = "sqlite:///log.db"
"""


@pytest.fixture
def project(make_project):
    prefix = f"p{new_id()[-12:]}_"
    stores = STORES.format(region=sqs.REGION, endpoint=sqs.endpoint(), prefix=prefix)
    made = make_project(stores=stores, defaults='lease = "3s"')
    yield made
    made.queue.close()


def spans(project):
    """Per task, its runs as (start, end or None), by the machine's own clock."""
    ends = {(line[1], line[3]): int(line[5]) for line in project.lines("end")}
    runs = {}
    for line in project.lines("start"):
        runs.setdefault(line[1], []).append((int(line[5]), ends.get((line[1], line[3]))))
    return {task_id: sorted(found) for task_id, found in runs.items()}


def test_two_workers_of_which_one_is_killed_lose_nothing_and_run_nothing_at_once(project):
    handles = project.queue.enqueue_many(tasks.traced.bind(str(project.ledger), 0.01) for _ in range(200))
    victim, survivor = project.worker(), project.worker()
    # Killed in the middle of something.
    eventually(lambda: len([line for line in project.lines("start") if line[4] == str(victim.pid)]) >= 10)
    victim.kill()

    def completed():
        return project.queue.task_log.categories()["completed"]

    eventually(lambda: completed() == 200, within=90, what="all of them completed")
    assert survivor.stop() == 0
    for task_id, runs in spans(project).items():
        # Each run but the last ended with its worker's death, before the next began.
        assert len(runs) <= 2, task_id
        assert all(end is None or end <= later for (_, end), (later, _) in itertools.pairwise(runs))
        assert runs[-1][1] is not None
    assert {handle.status() for handle in handles} == {Status.COMPLETED}


def test_a_killed_worker_s_task_runs_again_before_its_lease_ends(make_project):
    """P3"""
    prefix = f"p{new_id()[-12:]}_"
    stores = STORES.format(region=sqs.REGION, endpoint=sqs.endpoint(), prefix=prefix)
    project = make_project(stores=stores, defaults='lease = "120s"')
    gate = project.folder / "gate"
    handle = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    first = project.worker()
    project.started(handle)
    second = project.worker()
    first.kill()
    project.started(handle, times=2)
    gate.touch()
    assert handle.wait(20) is Status.COMPLETED
    (attempt,) = project.queue.task_log.attempts(handle.id)
    assert (attempt.cause.value, attempt.attempt) == ("crash", 1)
    assert second.stop() == 0
    project.queue.close()


def test_an_idle_worker_leaves_at_once_though_it_polls(project):
    worker = project.worker()
    handle = project.queue.enqueue(tasks.add, 1, 1)
    assert handle.wait(20) is Status.COMPLETED
    worker.send("SIGTERM")
    assert worker.wait(5) == 0


def test_a_worker_that_sqs_refuses_for_good_says_so_and_leaves_with_78(make_project, monkeypatch):
    for name, value in sqs.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with double(refusal("AccessDenied")) as server:
        project = make_project(stores=STORES.format(region=sqs.REGION, endpoint=server.url, prefix="x_"))
        worker = project.worker()
        assert worker.wait(20) == 78
    said = worker.log.read_text()
    assert "access denied; allow sqs:GetQueueUrl to these credentials" in said
    assert "Traceback" not in said


def test_a_worker_weathers_an_outage_of_sqs(make_project):
    """P15: what it had finished is stored, and it goes on when SQS answers again."""
    prefix = f"p{new_id()[-12:]}_"
    with Relay(sqs.endpoint()) as relay:
        stores = STORES.format(region=sqs.REGION, endpoint=relay.url, prefix=prefix)
        project = make_project(stores=stores, defaults='lease = "30s"')
        gate = project.folder / "gate"
        before = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
        worker = project.worker()
        project.started(before)
        relay.broken = True
        gate.touch()
        meanwhile = project.queue.enqueue(tasks.add, 1, 1)
        assert before.wait(20) is Status.COMPLETED
        eventually(lambda: relay.refused > 3, what="that the worker tried")
        relay.broken = False
        assert meanwhile.wait(30) is Status.COMPLETED
        assert worker.stop() == 0
        project.queue.close()
    assert len(project.lines("start", before.id)) == 1
