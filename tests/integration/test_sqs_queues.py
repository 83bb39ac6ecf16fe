"""Queues at SQS with a task log in a database: the entry is the truth, messages are hints (P1, P2, P3, P7, R7)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from taskqueue import BrokerUnavailable, ConfigurationError, Status
from taskqueue.app import App
from taskqueue.brokers.sqs import SqsQueueBroker
from taskqueue.clock import SystemClock
from taskqueue.errors import Deposed, MessageTooLarge
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
from tests.support.sqs_double import double, refusal

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


def test_a_message_that_comes_twice_to_one_worker_is_not_lost_when_that_gives_it_back(app, queue, monkeypatch):
    """P1: it is one message with two receipts, so that the second is not dropped alone."""
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    receive = queue.broker._receive

    def twice(number, lease, *, wait=0):
        found = receive(number, lease, wait=wait)
        if found:
            monkeypatch.undo()
            queue.broker.reveal([found[0].receipt])
        return found

    monkeypatch.setattr(queue.broker, "_receive", twice)
    held = take_one(queue)
    assert queue.broker.depth().total == 0, "the second one was dropped"
    queue.release([held])
    queue.relay(older_than=0)
    work_off(app)
    assert handle.result() == 2


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
    open_app().dispatcher.queue("default").initialize()
    clock = FakeClock(SystemClock().micros())  # the queue is older than its messages
    app = open_app('repush_after = "7d"', clock=clock)
    queue = app.dispatcher.queue("default")
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


def test_an_old_message_starts_no_delayed_retry_early(app, queue):
    """The worker was thought dead, its task was taken by another, failed, and waits; then the first message is back."""
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    take_one(queue)
    eventually(queue.recover, what="the lease's end")
    held = take_one(queue, "w2")
    outcome = Outcome(
        id=handle.id, fence=held.claim.fence, status=Status.ENQUEUED, queue="default", attempts=1, delay=3.0
    )
    queue.turn([Finished(held.delivery, outcome)], limit=0, lease=2, worker="w2")
    due = app.dispatcher.task_log.get(handle.id).due_at
    payload = app.dispatcher.task_log.get(handle.id).payload
    queue.broker.push([Message(handle.id, payload)])
    again = take_one(queue, "w3")
    assert app.clock.micros() >= due - 1_000_000
    assert again.claim.attempts == 1


def test_a_suspect_is_leased_singly_though_its_recoverer_died_before_it_told_sqs(app, queue, monkeypatch):
    """R5: that is written in the transaction that takes it back."""
    handles = [app.dispatcher.enqueue(tasks.add, n, 1) for n in range(3)]
    held = eventually(lambda: len(found := take(queue)) == 3 and found)

    def dies(_ids):
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(queue.intake, "push_again", dies)

        eventually(queue._ledger.any_over, what="the leases' end")
        with pytest.raises(SystemExit):
            queue.recover()
    queue.broker.ack([one.delivery for one in held])
    assert queue.relay(older_than=0) == 3
    turns = []
    while sum(len(turn) for turn in turns) < 3:
        turns.append(eventually(lambda: take(queue, "w2")))
    assert [len(turn) for turn in turns] == [1, 1, 1]
    assert {turn[0].claim.id for turn in turns} == {handle.id for handle in handles}


def test_a_push_of_many_of_which_a_part_arrived_is_made_good_by_the_outbox(open_app, prefix):
    """P1: at SQS nothing holds more than ten messages together. What came twice runs once."""
    app = open_app()
    queue = app.dispatcher.queue("default")
    queue.initialize()
    send, calls = queue.broker._calls.batch, []

    def half_away(name, url, entries):
        calls.append(len(entries))
        if len(calls) == 2:
            send(name, url, entries[:4])
            raise BrokerUnavailable("away in the middle of the second ten")
        return send(name, url, entries)

    queue.broker._calls.batch = half_away
    handles = app.dispatcher.enqueue_many(tasks.add.bind(n, 1) for n in range(25))
    assert calls == [10, 10]
    queue.broker._calls.batch = send
    left = queue.intake.left_behind(older_than=0, limit=100)
    assert len(left) == 15
    assert queue.broker.depth().waiting == 14
    assert queue.relay(older_than=0) == 15
    work_off(app)
    assert [handle.result() for handle in handles] == [n + 1 for n in range(25)]
    assert {app.dispatcher.task_log.get(handle.id).attempts for handle in handles} == {1}


def test_what_a_deleted_queue_held_is_sent_to_the_one_that_took_its_place(open_app, prefix):
    """R7: SQS says since when it keeps this one."""
    app = open_app()
    queue = app.dispatcher.queue("default")
    handles = [app.dispatcher.enqueue(tasks.add, n, 1) for n in range(12)]
    sent = max(app.dispatcher.task_log.get(handle.id).relayed_at for handle in handles)
    eventually(lambda: app.clock.micros() // 1_000_000 > sent // 1_000_000, what="the next second")
    client = sqs.client()
    client.delete_queue(QueueUrl=client.get_queue_url(QueueName=f"{prefix}default")["QueueUrl"])
    with pytest.raises(BrokerUnavailable, match="does not exist; it is made at the next try"):
        take(queue)
    assert take(queue) == []
    assert queue.relay(older_than=60) == 12
    work_off(app)
    assert [handle.status() for handle in handles] == [Status.COMPLETED] * 12


@pytest.fixture
def short(app, queue, prefix):
    """The same queue at an SQS that hides a message for six seconds at most."""
    options = {"endpoint_url": sqs.endpoint(), "prefix": prefix}
    broker = SqsQueueBroker("default", region=sqs.REGION, options=options, longest_lease=6)
    yield Queue(broker, app.task_log_broker, log_database=queue.log_database)
    broker.close()


def held_for_longer(short, other):
    """A task whose message was handed over: its lease goes on."""
    held, hidden = take_one(short), []

    def renewed_until_the_message_went():
        assert short.extend([held], lease=2) == {held.claim.id}
        assert take(other, "w2") == []
        hidden.append(short.broker.extend([held.delivery], lease=2))
        return not hidden[-1]

    eventually(renewed_until_the_message_went, what="the end of what SQS hides")
    assert any(hidden)
    return held


def ended(held, status, **values):
    claim = held.claim
    outcome = Outcome(id=claim.id, fence=claim.fence, status=status, queue="default", attempts=1, **values)
    return [Finished(held.delivery, outcome)]


def test_a_task_that_outlives_what_sqs_hides_is_run_by_its_worker_alone(app, queue, short):
    """P2: the message is handed over; the entry is not."""
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    held = held_for_longer(short, queue)
    finished = ended(held, Status.COMPLETED, report=b"{}")
    assert short.turn(finished, limit=0, lease=2, worker="w1").accepted == {handle.id}
    eventually(lambda: take(queue, "w2") == [] and queue.broker.depth().total == 0, what="the message dropped")
    assert app.dispatcher.task_log.get(handle.id).attempts == 1


def test_a_task_that_outlived_what_sqs_hides_is_sent_anew_to_be_run_again(app, queue, short):
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    held = held_for_longer(short, queue)
    eventually(lambda: not short.broker._held.ours([held.delivery]), what="that SQS hides it no more")
    short.turn(ended(held, Status.ENQUEUED), limit=0, lease=2, worker="w1")
    assert app.dispatcher.task_log.get(handle.id).relayed_at is None
    assert queue.relay(older_than=0) == 1
    work_off(app)
    assert handle.result() == 2


def test_a_body_over_the_limit_is_refused_before_anything_is_stored(open_app):
    app = open_app('max_message_size = "4KiB"')
    with pytest.raises(MessageTooLarge, match=r"bytes, queue 'default' takes 1,536; store the data elsewhere"):
        app.dispatcher.enqueue(tasks.fails, "x" * 4000)
    assert app.dispatcher.task_log.categories()["created"] == 0


def at_double(open_app, server, monkeypatch):
    for name, value in sqs.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sqs, "endpoint", lambda: server.url)
    return open_app()


def test_what_can_never_be_sent_is_refused_before_anything_is_stored(open_app, monkeypatch):
    with double(refusal("AccessDenied")) as server:
        app = at_double(open_app, server, monkeypatch)
        with pytest.raises(ConfigurationError, match="allow sqs:GetQueueUrl to these credentials"):
            app.dispatcher.enqueue(tasks.add, 1, 1)
        assert app.dispatcher.task_log.categories()["created"] == 0


def test_an_enqueue_that_may_not_be_sent_yet_waits_in_the_log(open_app, monkeypatch, caplog):
    """P1: once its entry is there it is enqueued; it leaves when the permission is there."""
    found = 200, {"QueueUrl": "http://127.0.0.1:1/1/default"}
    sent = 200, {"Successful": [{"Id": "0"}], "Failed": []}
    depth = 200, {"Attributes": {}}
    with double(found, refusal("AccessDenied"), depth, sent) as server:
        app = at_double(open_app, server, monkeypatch)
        queue = app.dispatcher.queue("default")
        handle = app.dispatcher.enqueue(tasks.add, 1, 1)
        assert handle.status() is Status.ENQUEUED
        (told,) = [record for record in caplog.records if record.message.startswith("push failed")]
        assert "allow sqs:SendMessage to these credentials" in told.error
        assert "AKIA" not in caplog.text + told.error
        assert queue.relay(older_than=0) == 1
        (entry,) = server.asked[-1][1]["Entries"]
        assert entry["MessageBody"].startswith("{")


def test_while_sqs_is_away_tasks_are_enqueued_in_the_log(open_app, monkeypatch):
    with double(refusal("ServiceUnavailable", 503)) as server:
        app = at_double(open_app, server, monkeypatch)
        assert app.dispatcher.enqueue(tasks.add, 1, 1).status() is Status.ENQUEUED
        assert {action for action, _ in server.asked} == {"GetQueueUrl"}
