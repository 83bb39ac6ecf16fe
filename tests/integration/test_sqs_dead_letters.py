"""Dead letters at SQS: shown and brought back by `taskqueue stuck`."""

from __future__ import annotations

import pytest

from taskqueue.status import Status
from tests.support import sqs
from tests.support.eventually import eventually
from tests.support.shell import shell

ADD = "tests.support.errands:add"
CONFIG = """
[app]
modules = ["tests.support.errands"]
[brokers.main]
url = "sqs://{region}"
endpoint_url = "{endpoint}"
prefix = "{prefix}"
wait_time = 0
dead_letter_queue = "{prefix}dead"
[task_log]
url = "sqlite:///log.db"
[queues.default]
[queues.other]
[queues."ordered.fifo"]
"""


@pytest.fixture
def sh(tmp_path, prefix):
    config = CONFIG.format(region=sqs.REGION, endpoint=sqs.endpoint(), prefix=prefix)
    with shell(tmp_path, config=config) as opened:
        opened("init")
        yield opened


@pytest.fixture
def url_of(prefix):
    return lambda name: sqs.client().get_queue_url(QueueName=prefix + name)["QueueUrl"]


@pytest.fixture
def bury(sh, url_of):
    """Let SQS put aside what waits in a queue: received once more than it may be."""

    def bury(queue="default", dead="dead"):
        client, url = sqs.client(), url_of(queue)
        arn = client.get_queue_attributes(QueueUrl=url_of(dead), AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 1}}'
        client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
        for _ in range(2):
            client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy.replace("1}", "1000}")})

    return bury


def status(sh, task_id):
    return sh.app.dispatcher.task_log.status(task_id)


def dead(sh):
    return [(one["id"], one["status"], one["reason"]) for one in sh.json("stuck", "list")]


def test_a_dead_letter_is_shown_and_stays_where_it_is(sh, prefix, bury):
    task_id = sh.enqueue(ADD, "a=1")
    bury()
    shown = (task_id, "enqueued", f"its message is in the dead letter queue {prefix}dead")
    assert dead(sh) == [shown]
    assert dead(sh) == [shown]
    assert f"{task_id}\tenqueued\tdefault\t\tits message is in the dead letter queue" in sh("stuck", "list")


@pytest.mark.parametrize(("queue", "letters"), [("default", "dead"), ("ordered.fifo", "dead.fifo")])
def test_the_task_of_a_dead_letter_is_brought_back_and_runs(sh, bury, queue, letters):
    task_id = sh.enqueue(ADD, "a=1", "--queue", queue)
    bury(queue, letters)
    assert sh("stuck", "restart") == "1 brought back\n"
    assert dead(sh) == []
    assert sh("stuck", "restart") == "0 brought back\n"
    assert sh.type("worker", queue, "--drain").code == 0
    assert status(sh, task_id) is Status.COMPLETED


def test_what_came_to_the_wrong_queue_s_letters_goes_to_its_own(sh, bury):
    """Several queues share one."""
    ids = [sh.enqueue(ADD, "a=1", "--queue", queue) for queue in ("default", "other")]
    bury("default")
    bury("other")
    assert sorted(task_id for task_id, _, _ in dead(sh)) == sorted(ids)
    assert sh("stuck", "restart") == "2 brought back\n"
    for queue in ("default", "other"):
        assert sh.type("worker", queue, "--drain").code == 0
    assert [status(sh, task_id) for task_id in ids] == [Status.COMPLETED] * 2


def test_a_dead_letter_of_a_task_that_has_ended_is_removed(sh, prefix, bury):
    task_id = sh.enqueue(ADD, "a=1")
    bury()
    sh("log", "cancel", task_id)
    assert dead(sh) == [
        (task_id, "cancelled", f"it has ended, and its message is in the dead letter queue {prefix}dead")
    ]
    assert sh("stuck", "restart") == "0 brought back\n1 dead letters of tasks that have ended removed\n"
    assert dead(sh) == []


def test_what_somebody_else_put_there_is_shown_and_kept(sh, prefix, url_of):
    for body in ("<order/>", '{"v":1}'):
        sqs.client().send_message(QueueUrl=url_of("dead"), MessageBody=body)
    reason = f"a message in the dead letter queue {prefix}dead, of no task in the log"
    for _ in range(2):
        assert [(state, why) for _, state, why in dead(sh)] == [(None, reason)] * 2
        assert sh("stuck", "restart") == (
            "0 brought back\n2 dead letters left: they belong to no task of these queues\n"
        )


def test_many_dead_letters_are_shown_up_to_the_limit_and_all_brought_back(sh, bury):
    tasks = [sh.enqueue(ADD, "a=1") for _ in range(23)]
    for _ in range(3):
        bury()
    eventually(lambda: len(sh.json("stuck", "list")) == 23, what="all of them put aside")
    assert len(sh.json("stuck", "list", "--limit", "5")) == 5
    assert sh("stuck", "restart") == "23 brought back\n"
    sh.drain()
    assert {status(sh, task_id) for task_id in tasks} == {Status.COMPLETED}


def test_a_task_that_runs_keeps_running_when_its_dead_letter_is_dealt_with(sh, bury, url_of):
    task_id = sh.enqueue(ADD, "a=1")
    queue = sh.app.queues["default"]
    held = sh.hold()
    payload = queue.task_log.get(task_id).payload.decode()
    said = {"id": {"DataType": "String", "StringValue": task_id}}
    sqs.client().send_message(QueueUrl=url_of("dead"), MessageBody=payload, MessageAttributes=said)
    assert sh("stuck", "restart") == "1 brought back\n"
    assert dead(sh) == []
    assert status(sh, task_id) is Status.RUNNING
    queue.release([held])
    sh.drain()
    assert queue.task_log.get(task_id).attempts == 1


def test_a_dead_letter_queue_that_is_missing_is_no_empty_one(sh, url_of):
    """P16"""
    sqs.client().delete_queue(QueueUrl=url_of("dead"))
    ran = sh.type("stuck", "list")
    assert ran.code == 1
    assert "dead' in the configured endpoint_url does not exist" in ran.line


def test_what_ended_leases_held_is_stuck_until_it_is_brought_back(sh):
    """P3: who holds what of a queue at SQS stands beside its entries."""
    task_id = sh.enqueue(ADD, "a=1")
    sh.hold(lease=0.5)
    shown = {"id": task_id, "status": "running", "queue": "default", "worker": "host:4711"}
    (one,) = sh.json("stuck", "list")
    assert one == shown | {"reason": "its lease has ended"}
    assert sh("stuck", "restart") == "1 brought back\n"
    assert sh("stuck", "list").count("\n") == 1
    sh.drain()
    assert status(sh, task_id) is Status.COMPLETED
