"""Queues at SQS with a task log in a database: the entry is the truth, messages are hints (P1, P2, P3, P7, R7)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from taskqueue import BrokerUnavailable, ConfigurationError, Status
from taskqueue.app import App
from taskqueue.brokers.sqs import SqsQueueBroker
from taskqueue.errors import Deposed
from taskqueue.ids import new_id
from taskqueue.message import Message
from taskqueue.queue import Finished, Queue
from taskqueue.settings import parse
from taskqueue.tasklog.entry import Outcome
from taskqueue.tasklog.memory import InMemoryTaskLogBroker
from taskqueue.worker.leaving import Limits
from tests.support import sqs, tasks
from tests.support.clock import FakeClock
from tests.support.eventually import eventually

CONFIG = """
[brokers.main]
url = "sqs://{region}"
endpoint_url = "{endpoint}"
prefix = "{prefix}"
{broker}
[task_log]
url = "sqlite:///{folder}/log.db"
[queues.default]
lease = "2s"
"""


@pytest.fixture
def prefix():
    return f"q{new_id()[-12:]}_"


@pytest.fixture
def open_app(tmp_path, prefix):
    apps = []

    def opened(broker="", clock=None) -> App:
        values = {"region": sqs.REGION, "endpoint": sqs.endpoint(), "prefix": prefix, "folder": tmp_path}
        text = CONFIG.format(**values, broker=broker)
        apps.append(App(parse(text, file=tmp_path / "taskqueue.toml"), clock=clock))
        return apps[-1]

    yield opened
    for app in apps:
        app.dispatcher.close()
        app.close()


@pytest.fixture
def app(open_app):
    return open_app()


@pytest.fixture
def queue(app):
    return app.dispatcher.queue("default")


def take(queue, worker="w1"):
    return queue.turn([], limit=10, lease=2, worker=worker).held


def take_one(queue, worker="w1"):
    (held,) = eventually(lambda: take(queue, worker), what="a claim")
    return held


def work_off(app):
    assert app.worker(["default"], Limits(drain=True)).run() == 0


def purge(prefix):
    client = sqs.client()
    client.purge_queue(QueueUrl=client.get_queue_url(QueueName=f"{prefix}default")["QueueUrl"])


def test_a_task_goes_there_and_back(app):
    handle = app.dispatcher.enqueue(tasks.add, 2, 3)
    work_off(app)
    assert handle.result() == 5


def test_many_tasks_are_sent_in_tens(app, queue):
    handles = app.dispatcher.enqueue_many(tasks.add.bind(n, 1) for n in range(25))
    assert queue.broker.depth().waiting == 25
    work_off(app)
    assert [h.result() for h in handles] == [n + 1 for n in range(25)]


def test_a_message_that_comes_twice_runs_once(app, queue):
    """P2: the second finds the entry held, and later ended."""
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    held = take_one(queue)
    queue.broker.push([Message(handle.id, app.dispatcher.task_log.get(handle.id).payload)])
    assert take(queue, "w2") == []
    assert handle.status() is Status.DEQUEUED
    queue.release([held])
    work_off(app)
    assert handle.result() == 2
    assert app.dispatcher.task_log.get(handle.id).attempts == 1


def test_a_late_message_of_an_ended_task_is_dropped(app, queue):
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    payload = app.dispatcher.task_log.get(handle.id).payload
    work_off(app)
    queue.broker.push([Message(handle.id, payload)])
    work_off(app)
    assert app.dispatcher.task_log.get(handle.id).attempts == 1
    assert queue.broker.depth().total == 0


def test_a_message_from_somebody_else_is_kept_as_a_failed_entry(app, queue, prefix):
    """P7"""
    queue.broker.initialize()
    client = sqs.client()
    url = client.get_queue_url(QueueName=f"{prefix}default")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="<order>not ours</order>")
    good = app.dispatcher.enqueue(tasks.add, 1, 1)
    work_off(app)
    assert good.result() == 2
    (failed,) = app.dispatcher.task_log.search(status="failed").entries
    assert app.dispatcher.task_log.get(failed.id).payload == b"<order>not ours</order>"
    assert queue.broker.depth().total == 0


def test_what_a_dead_worker_held_is_there_at_once(open_app):
    """P3: nobody waits for its lease, nor for SQS."""
    first, second = open_app(), open_app()
    handle = first.dispatcher.enqueue(tasks.add, 1, 1)
    dying = first.worker(["default"], Limits())._crew
    dying.join()
    held = eventually(lambda: first.dispatcher.queue("default").turn([], limit=5, lease=60, worker="w1").held)
    queue = second.dispatcher.queue("default")
    assert [one.id for one in queue.recover([dying.incarnation])] == [handle.id]
    assert take_one(queue, "w2").claim.fence == held[0].claim.fence + 1
    assert first.dispatcher.queue("default").extend(held, lease=60) == set()


def test_who_was_declared_dead_takes_nothing_more(app, queue):
    """R1"""
    crew = app.worker(["default"], Limits())._crew
    crew.join()
    queue.recover([crew.incarnation])
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    with pytest.raises(Deposed, match="must leave"):
        eventually(lambda: take(queue))
    assert handle.status() is Status.ENQUEUED
    crew.join()
    assert take_one(queue).claim.id == handle.id


def test_a_retry_after_a_long_delay_waits_in_the_task_log(app, queue):
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    held = take_one(queue)
    outcome = Outcome(
        id=handle.id, fence=held.claim.fence, status=Status.ENQUEUED, queue="default", attempts=1, delay=3600
    )
    finished = [Finished(held.delivery, outcome)]
    assert queue.turn(finished, limit=0, lease=2, worker="w1").accepted == {handle.id}
    entry = app.dispatcher.task_log.get(handle.id)
    assert (entry.status, entry.relayed_at) == (Status.ENQUEUED, None)
    assert queue.broker.depth().total == 0


def test_what_an_ended_lease_held_comes_back(app, queue):
    """P3, and no earlier (P2)."""
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    first = take_one(queue)
    assert queue.recover() == []
    assert [one.id for one in eventually(queue.recover, what="the lease's end")] == [handle.id]
    assert take_one(queue, "w2").claim.fence == first.claim.fence + 1


def test_a_renewed_lease_holds_though_sqs_is_away(app, queue, monkeypatch):
    """The lease is the entry's; to hide the message is a courtesy."""
    app.dispatcher.enqueue(tasks.add, 1, 1)
    held = take_one(queue)

    def away(*_, **__):
        raise BrokerUnavailable("away")

    monkeypatch.setattr(queue.broker, "extend", away)
    assert queue.extend([held], lease=60) == {held.delivery.id}


def test_a_long_delay_waits_in_the_task_log(open_app):
    """The log is the outbox: SQS delays for 15 minutes at most."""
    clock = FakeClock()
    app = open_app(clock=clock)
    queue = app.dispatcher.queue("default")
    queue.initialize()
    short, long = (app.dispatcher.options(delay=s).enqueue(tasks.add, 1, 1) for s in (900, 3600))
    clock.advance(10)
    assert queue.relay(older_than=1) == 0
    log = app.dispatcher.task_log
    assert log.get(short.id).relayed_at is not None
    assert log.get(long.id).relayed_at is None
    clock.advance(2700)
    assert queue.relay(older_than=1) == 1
    assert log.get(long.id).relayed_at is not None


def test_a_lost_message_is_pushed_again(open_app, prefix):
    clock = FakeClock()
    app = open_app('repush_after = "7d"', clock=clock)
    queue = app.dispatcher.queue("default")
    queue.initialize()
    handle = app.dispatcher.options(id=_id_at(clock)).enqueue(tasks.add, 1, 1)
    purge(prefix)
    clock.advance(6 * 86400)
    assert queue.relay(older_than=1) == 0
    clock.advance(2 * 86400)
    assert queue.relay(older_than=1) == 1
    assert take_one(queue).claim.id == handle.id


def _id_at(clock):
    stamp = f"{clock.now // 1000:012x}"
    return f"{stamp[:8]}-{stamp[8:]}{new_id()[13:]}"


def test_without_a_task_log_in_a_database_it_is_refused(tmp_path):
    values = {"region": sqs.REGION, "endpoint": "http://127.0.0.1:1", "prefix": "x", "folder": tmp_path, "broker": ""}
    for other in ("", '[task_log]\nurl = "memory://"'):
        text = CONFIG.format(**values).replace(f'[task_log]\nurl = "sqlite:///{tmp_path}/log.db"', other)
        with pytest.raises(ConfigurationError, match=r"name a database here") as refused:
            parse(text, file=tmp_path / "taskqueue.toml")
        assert refused.value.exit_code == 78


def test_an_enqueue_in_the_application_s_transaction_stands_or_falls_with_it(app, queue, tmp_path):
    """P1: through the outbox; nothing leaves before the commit."""
    queue.initialize()
    engine = sa.create_engine(f"sqlite:///{tmp_path}/log.db")
    with engine.connect() as connection:
        undone = app.dispatcher.options(connection=connection).enqueue(tasks.add, 1, 1)
        connection.rollback()
        done = app.dispatcher.options(connection=connection).enqueue(tasks.add, 2, 2)
        assert queue.broker.depth().total == 0
        connection.commit()
    engine.dispose()
    assert queue.task_log.statuses([undone.id, done.id]) == {done.id: Status.ENQUEUED}
    assert queue.relay(older_than=0) == 1
    work_off(app)
    assert done.result() == 4


def test_without_a_database_to_keep_leases_in_there_is_no_such_queue():
    broker = SqsQueueBroker("mail", region=sqs.REGION, options={"endpoint_url": "http://127.0.0.1:1"})
    with pytest.raises(ConfigurationError, match=r"'mail'.*write \[task_log\] url"):
        Queue(broker, InMemoryTaskLogBroker())


def test_what_cannot_be_dropped_now_keeps_no_other_task_from_running(app, queue, monkeypatch):
    ended, good = app.dispatcher.enqueue(tasks.add, 1, 1), app.dispatcher.enqueue(tasks.add, 2, 2)
    queue.task_log.cancel([ended.id])

    def away(_deliveries):
        raise BrokerUnavailable("away")

    monkeypatch.setattr(queue.broker, "ack", away)
    assert take_one(queue).claim.id == good.id
