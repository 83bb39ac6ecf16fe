"""Groups of FIFO queues at SQS: their tasks run one after the other, in order, whatever happens to their messages."""

from __future__ import annotations

import pytest

from taskqueue import BrokerUnavailable, InvalidArguments, Status
from taskqueue.message import Message
from taskqueue.operations.why import why_of
from taskqueue.queue import Finished
from taskqueue.tasklog.entry import Outcome
from taskqueue.worker.leaving import Limits
from tests.support import tasks
from tests.support.eventually import eventually

CONFIG = """
[app]
default_queue = "mail.fifo"
[brokers.main]
url = "sqs://{region}"
endpoint_url = "{endpoint}"
prefix = "{prefix}"
[task_log]
url = "sqlite:///{folder}/log.db"
[queues."mail.fifo"]
lease = "30s"
[queues.plain]
"""


@pytest.fixture
def open_app(open_at_sqs):
    return lambda: open_at_sqs(CONFIG)


@pytest.fixture
def app(open_app):
    return open_app()


@pytest.fixture
def queue(app):
    return app.dispatcher.queue("mail.fifo")


def enqueue(app, number, group="ann", **options):
    return app.dispatcher.options(group=group, **options).enqueue(tasks.add, number, 0).id


def take(queue, limit=10):
    return queue.turn([], limit=limit, lease=30, worker="w1").held


def ids(held):
    return [one.claim.id for one in held]


def ended(held, status=Status.COMPLETED, delay=0.0):
    claim = held.claim
    outcome = Outcome(
        id=claim.id, fence=claim.fence, status=status, queue="mail.fifo", attempts=claim.attempts + 1, delay=delay
    )
    return Finished(held.delivery, outcome)


def finish(queue, held, status=Status.COMPLETED, delay=0.0):
    finished = [ended(held, status, delay)]
    assert queue.turn(finished, limit=0, lease=30, worker="w1").accepted == {held.claim.id}


def order(queue, *, fail=()):
    """The order in which what is there is run, each finished before the next is asked for."""
    ran = []
    while held := take(queue):
        ran += ids(held)
        for one in held:
            finish(queue, one, Status.FAILED if one.claim.id in fail else Status.COMPLETED)
    return ran


def test_tasks_of_a_group_come_one_at_a_time_in_order(app, queue):
    first, second, third = (enqueue(app, n) for n in range(3))
    (held,) = take(queue)
    assert held.claim.id == first
    assert take(queue) == []
    finish(queue, held)
    assert order(queue) == [second, third]
    assert queue.broker.depth().total == 0


def test_groups_do_not_wait_for_each_other_and_a_task_without_one_waits_for_nobody(app, queue):
    ann, bob = enqueue(app, 1), enqueue(app, 2, group="bob")
    enqueue(app, 3)
    loose = [app.dispatcher.enqueue(tasks.add, n, 0).id for n in range(2)]
    assert sorted(ids(take(queue))) == sorted([ann, bob, *loose])


@pytest.mark.parametrize("group", ["customer 7", "Ünsal & Söhne", "x" * 255])
def test_a_group_may_have_any_name(app, queue, group):
    first, second = (enqueue(app, n, group=group) for n in range(2))
    (held,) = take(queue)
    assert held.claim.id == first
    finish(queue, held)
    assert order(queue) == [second]


def test_a_retry_with_a_delay_keeps_the_next_of_its_group_waiting(app, queue):
    first, second = enqueue(app, 1), enqueue(app, 2)
    finish(queue, take(queue)[0], Status.ENQUEUED, delay=1.5)
    assert take(queue) == []
    (again,) = eventually(lambda: take(queue), what="the retry")
    assert (again.claim.id, again.claim.attempts) == (first, 1)
    finish(queue, again)
    assert order(queue) == [second]


def test_a_message_that_comes_before_its_retry_is_due_is_put_off_in_its_place(app, queue):
    """As where the delay is longer than SQS hides anything, or could not be told to SQS."""
    first, second = enqueue(app, 1), enqueue(app, 2)
    held = take(queue)[0]
    finish(queue, held, Status.ENQUEUED, delay=2)
    queue.broker.reveal([held.delivery.receipt])
    assert take(queue) == []
    assert take(queue) == []
    (again,) = eventually(lambda: take(queue), what="the retry")
    assert (again.claim.id, again.claim.attempts) == (first, 1)
    finish(queue, again)
    assert order(queue) == [second]


def test_a_task_that_failed_for_good_lets_the_next_go_on(app, queue):
    first, second = enqueue(app, 1), enqueue(app, 2)
    assert order(queue, fail=[first]) == [first, second]


def test_what_is_given_back_comes_first(app, queue):
    """P13: on a stop, a pause, behind a long task."""
    first, second = enqueue(app, 1), enqueue(app, 2)
    queue.release(take(queue))
    assert order(queue) == [first, second]


def test_a_task_with_a_delay_joins_its_group_when_that_is_over(app, queue):
    delayed, second = enqueue(app, 1, delay=1.5), enqueue(app, 2)
    assert order(queue) == [second]
    assert queue.broker.depth().total == 0  # FIFO queues delay no single message: it waits in the log
    assert eventually(lambda: queue.relay(older_than=0), what="its time") == 1
    assert order(queue) == [delayed]


def test_what_a_dead_worker_held_comes_back_at_once_and_in_its_place(open_app):
    """P3: SQS itself would hide it, and with it the group, until the lease ends."""
    first, second = open_app(), open_app()
    dying = first.worker(["mail.fifo"], Limits())._crew
    dying.join()
    one, two = enqueue(first, 1), enqueue(first, 2)
    assert ids(take(first.dispatcher.queue("mail.fifo"))) == [one]
    queue = second.dispatcher.queue("mail.fifo")
    assert take(queue) == []
    assert [lost.id for lost in queue.recover([dying.incarnation])] == [one]
    assert first.dispatcher.task_log.get(one).relayed_at is not None
    assert order(queue) == [one, two]
    assert queue.broker.depth().total == 0


def test_what_cannot_be_shown_while_sqs_is_away_comes_when_its_lease_there_ends(app, queue, monkeypatch):
    def away(_receipts):
        raise BrokerUnavailable("away")

    one, two = enqueue(app, 1), enqueue(app, 2)
    assert ids(queue.turn([], limit=10, lease=1, worker="w1").held) == [one]
    monkeypatch.setattr(queue.broker, "reveal", away)
    assert [lost.id for lost in eventually(queue.recover, what="the lease's end")] == [one]
    (again,) = eventually(lambda: take(queue), what="its message")
    assert again.claim.id == one
    finish(queue, again)
    assert order(queue) == [two]


def test_a_task_whose_message_could_not_be_sent_is_not_overtaken(app, queue, monkeypatch):
    """P1, P13: the second one's message is there before the first's."""
    queue.initialize()
    with monkeypatch.context() as away:

        def refuse(messages):
            if messages:
                raise BrokerUnavailable("away")

        away.setattr(queue.broker, "push", refuse)
        first = enqueue(app, 1)
    second, third = enqueue(app, 2), enqueue(app, 3)
    assert take(queue, limit=1) == []
    assert queue.relay(older_than=0) >= 1
    ran = []
    while len(ran) < 3:
        queue.relay(older_than=0)
        ran += eventually(lambda: order(queue), what="the next")
    assert ran == [first, second, third]


def test_a_message_that_was_lost_is_sent_anew_when_the_next_one_comes(app, queue):
    """R7: not after a week only."""
    first = enqueue(app, 1)
    (gone,) = eventually(lambda: queue.broker.pop(limit=1, lease=30))
    queue.broker.ack([gone])
    second = enqueue(app, 2)
    assert take(queue) == []
    assert queue.relay(older_than=0) == 2
    assert order(queue) == [first, second]
    assert queue.broker.depth().total == 0


def test_a_second_message_of_a_task_lets_nobody_in_before_it_ended(app, queue):
    """P2: nor beside it."""
    first, second = enqueue(app, 1), enqueue(app, 2)
    (held,) = take(queue)
    payload = app.dispatcher.task_log.get(second).payload
    queue.broker.push([Message(second, payload, group="another group, as SQS sees it")])
    assert take(queue) == []
    finish(queue, held)
    assert order(queue) == [second]
    assert app.dispatcher.task_log.status(first) is Status.COMPLETED


def test_a_repeated_task_stands_at_the_end_of_its_group(app, queue):
    first, second = enqueue(app, 1), enqueue(app, 2)
    (held,) = take(queue)
    finish(queue, held, Status.FAILED)
    again = app.dispatcher.retry(first).id
    assert app.dispatcher.task_log.get(again).group_name == "ann"
    assert order(queue) == [second, again]


def test_a_worker_runs_a_group_in_order_through_retries(app, queue, tmp_path):
    ledger = tmp_path / "ledger"
    ledger.touch()
    order_of = []
    for number in range(4):
        options = app.dispatcher.options(group="ann", backoff=0.2)
        order_of.append(options.enqueue(tasks.fails_at_first, str(ledger), number % 2).id)

    def done():
        """Draining leaves what is not due yet."""
        assert app.worker(["mail.fifo"], Limits(drain=True)).run() == 0
        return len(app.dispatcher.task_log.search(status="completed").entries) == 4

    eventually(done, what="all of them done")
    ran = [line.split()[:2] for line in ledger.read_text().splitlines()]
    assert ran == [
        ["start", order_of[0]],
        ["end", order_of[0]],
        ["start", order_of[1]],
        ["start", order_of[1]],
        ["end", order_of[1]],
        ["start", order_of[2]],
        ["end", order_of[2]],
        ["start", order_of[3]],
        ["start", order_of[3]],
        ["end", order_of[3]],
    ]


def test_a_queue_without_groups_refuses_one_and_says_where_there_are_some(app):
    with pytest.raises(InvalidArguments, match=r"queue 'plain' has no groups.*whose name ends in .fifo"):
        app.dispatcher.options(queue="plain", group="ann").enqueue(tasks.add, 1, 1)
    assert app.dispatcher.task_log.categories()["created"] == 0


@pytest.mark.parametrize(("owner", "named"), [(None, True), ("ann", True), ("bob", False)])
def test_why_names_no_task_that_its_reader_may_not_see(app, queue, owner, named):
    first = enqueue(app, 1, owner="ann")
    second = app.task_log.get(enqueue(app, 2, owner=owner))
    view = app.task_log if owner is None else app.task_log.for_owner(owner)
    said = " ".join(why_of(app, second, task_log=view))
    assert "comes before it in group 'ann'" in said
    assert (first in said) is named
