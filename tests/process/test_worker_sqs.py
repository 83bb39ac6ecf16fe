"""Workers as processes on queues at SQS, with the task log in a database (P2, P3)."""

from __future__ import annotations

import itertools
import time

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
    workers = [project.worker(), project.worker()]

    def at_work():
        """One in the middle of something: whichever came first."""
        pids = [line[4] for line in project.lines("start")]
        return next((worker for worker in workers if pids.count(str(worker.pid)) >= 10), None)

    victim = eventually(at_work, what="a worker at work")
    (survivor,) = [worker for worker in workers if worker is not victim]
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


@pytest.mark.parametrize("seconds", [3, pytest.param(10, marks=pytest.mark.soak)])
def test_seconds_of_errors_from_sqs_lose_nothing_and_run_nothing_twice(make_project, seconds):
    """P15: of two workers with a hundred tasks before them, and a producer that goes on."""
    prefix = f"p{new_id()[-12:]}_"
    with Relay(sqs.endpoint()) as relay:
        stores = STORES.format(region=sqs.REGION, endpoint=relay.url, prefix=prefix)
        project = make_project(stores=stores, defaults='lease = "5s"')
        bind = lambda: tasks.traced.bind(str(project.ledger), 0.02)  # noqa: E731  # a name for what comes twice
        handles = project.queue.enqueue_many(bind() for _ in range(100))
        workers = [project.worker(), project.worker()]
        eventually(lambda: len(project.lines("end")) >= 10, what="the workers at work")
        relay.broken = True
        since = time.monotonic()
        handles += project.queue.enqueue_many(bind() for _ in range(20))
        eventually(lambda: time.monotonic() - since > seconds, what="the end of the outage")
        relay.broken = False
        eventually(lambda: {h.status() for h in handles} == {Status.COMPLETED}, within=90, what="all completed")
        assert [worker.stop() for worker in workers] == [0, 0]
        for worker in workers:
            assert worker.log.read_text().count("store away") <= 2
            assert "Traceback" not in worker.log.read_text()
    assert {len(runs) for runs in spans(project).values()} == {1}
    project.queue.close()


def test_a_queue_that_is_deleted_under_a_worker_is_made_anew_and_nothing_is_lost(project):
    """R7"""
    gate = project.folder / "gate"
    first = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    worker = project.worker()
    project.started(first)
    waiting = [project.queue.enqueue(tasks.add, n, 1) for n in range(5)]
    log, second = project.queue.task_log, time.time() // 1  # noqa: TID251  # the second in which SQS made it
    eventually(lambda: time.time() // 1 > second + 1, what="another second")  # noqa: TID251
    client = sqs.client()
    client.delete_queue(QueueUrl=project.app.queues["default"].broker._address.url)
    gate.touch()
    assert first.wait(30) is Status.COMPLETED
    eventually(lambda: {h.status() for h in waiting} == {Status.COMPLETED}, within=100, what="the others too")
    assert log.get(first.id).attempts == 1
    assert worker.stop() == 0
    said = worker.log.read_text()
    assert "does not exist; it is made at the next try" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("denied", "says"),
    [("ReceiveMessage", "access denied; allow sqs:ReceiveMessage to these credentials")],
)
def test_a_worker_without_a_permission_says_which_and_leaves_with_78(make_project, monkeypatch, denied, says):
    for name, value in sqs.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    found = 200, {"QueueUrl": "http://127.0.0.1:1/1/x_default", "Attributes": {}}
    with double(found, by_action={denied: refusal("AccessDenied")}) as server:
        project = make_project(stores=STORES.format(region=sqs.REGION, endpoint=server.url, prefix="x_"))
        worker = project.worker()
        assert worker.wait(20) == 78
    said = worker.log.read_text()
    assert says in said
    assert "Traceback" not in said
    assert "AKIASECRET" not in said


def test_a_worker_that_may_not_delete_says_so_waits_and_keeps_what_it_finished(make_project, monkeypatch):
    """P15: the report is stored, whatever becomes of the message."""
    for name, value in sqs.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    prefix = f"p{new_id()[-12:]}_"
    with Relay(sqs.endpoint()) as relay:
        relay.denied = "DeleteMessageBatch"
        project = make_project(stores=STORES.format(region=sqs.REGION, endpoint=relay.url, prefix=prefix))
        handle = project.queue.enqueue(tasks.add, 1, 1)
        worker = project.worker()
        assert handle.wait(30) is Status.COMPLETED
        eventually(lambda: "allow sqs:DeleteMessage to these credentials" in worker.log.read_text())
        relay.denied = ""
        eventually(lambda: "store back" in worker.log.read_text(), what="the permission noticed")
        assert worker.stop() == 0
        assert project.queue.task_log.get(handle.id).attempts == 1
        assert "Traceback" not in worker.log.read_text()
        project.queue.close()


def test_a_group_keeps_its_order_though_a_worker_is_killed_under_it(make_project):
    """P3, P13: its task comes back at once, before the next of its group."""
    prefix = f"p{new_id()[-12:]}_"
    stores = STORES.format(region=sqs.REGION, endpoint=sqs.endpoint(), prefix=prefix) + '[queues."mail.fifo"]\n'
    project = make_project(stores=stores, defaults='lease = "120s"')
    gate = project.folder / "gate"
    options = project.queue.options(queue="mail.fifo", group="ann")
    first = options.enqueue(tasks.until, str(project.ledger), str(gate))
    rest = [options.enqueue(tasks.traced, str(project.ledger)) for _ in range(5)]
    victim, survivor = project.worker("mail.fifo"), project.worker("mail.fifo")
    (start,) = project.started(first)
    dying = next(worker for worker in (victim, survivor) if str(worker.pid) == start[4])
    dying.kill()
    project.started(first, times=2)
    gate.touch()
    eventually(lambda: rest[-1].status() is Status.COMPLETED, within=60, what="the last of the group")
    assert [line[1] for line in project.lines("start")] == [first.id, first.id, *(handle.id for handle in rest)]
    runs = sorted((begun, end) for spans_of in spans(project).values() for begun, end in spans_of if end is not None)
    assert all(end <= later for (_, end), (later, _) in itertools.pairwise(runs))
    assert next(worker for worker in (victim, survivor) if worker is not dying).stop() == 0
    project.queue.close()
