"""Queues and their dispatcher: entry and message together, in one store or two (P1, P7, P13)."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import NoReturn

import pytest
import sqlalchemy as sa

from taskqueue import (
    BrokerUnavailable,
    ConfigurationError,
    InvalidArguments,
    MessageTooLarge,
    QueueFull,
    Status,
    UnknownQueue,
    context,
)
from taskqueue.app import App
from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database import incarnations
from taskqueue.errors import InvalidTransition, LeaseLost
from taskqueue.ids import new_id
from taskqueue.message import Message
from taskqueue.queue import Held, Parent, Queue
from taskqueue.settings import parse
from taskqueue.tasklog.entry import Cause
from taskqueue.worker.leaving import Limits
from tests.support import tasks
from tests.support.eventually import eventually

ONE_STORE = 'url = "sqlite:///{0}/one.db"'
TWO_STORES = 'url = "sqlite:///{0}/messages.db"\n[task_log]\nurl = "sqlite:///{0}/log.db"'
MEMORY = 'url = "memory://"'


@pytest.fixture
def open_app(tmp_path):
    apps = []

    def opened(stores: str, more: str = "") -> App:
        text = f"[brokers.main]\n{stores.format(tmp_path)}\n[queues.default]\n{more}\n[queues.other]\n"
        apps.append(App(parse(text, file=tmp_path / "taskqueue.toml")))
        return apps[-1]

    yield opened
    for app in apps:
        app.close()


@pytest.fixture(params=[ONE_STORE, TWO_STORES], ids=["one store", "two stores"])
def app(open_app, request):
    return open_app(request.param)


def work_off(app: App) -> None:
    """A worker in this process, until nothing is due."""
    assert app.worker(["default", "other"], Limits(drain=True)).run() == 0


def test_a_task_goes_through_both_ways_of_storing_it(app):
    handle = app.dispatcher.enqueue(tasks.add, 2, 3)
    assert handle.status() is Status.ENQUEUED
    work_off(app)
    assert handle.result() == 5
    assert app.dispatcher.queue("default").broker.depth().total == 0


def test_many_tasks_are_one_transaction(app):
    handles = app.dispatcher.enqueue_many(tasks.add.bind(n, 1) for n in range(100))
    work_off(app)
    assert [h.result() for h in handles] == [n + 1 for n in range(100)]


def test_of_many_tasks_none_is_enqueued_if_one_is_refused(app):
    with pytest.raises(MessageTooLarge, match="store the data elsewhere"):
        app.dispatcher.enqueue_many([tasks.add.bind(1, 1), tasks.fails.bind("x" * 17_000_000)])
    assert app.dispatcher.task_log.stats() == {}


def test_the_same_id_twice_is_one_task(app):
    """P1: a lost answer can be repeated."""
    task_id = new_id()
    first = app.dispatcher.options(id=task_id).enqueue(tasks.add, 1, 1)
    again = app.dispatcher.options(id=task_id).enqueue(tasks.add, 1, 1)
    assert first == again
    work_off(app)
    assert sum(app.dispatcher.task_log.categories().values()) == 1
    assert app.dispatcher.task_log.get(task_id).attempts == 1


def test_the_same_key_twice_is_one_task(app):
    """P1: whoever repeats an enqueue need not have kept an id."""
    first = app.dispatcher.options(key="order-9").enqueue(tasks.add, 1, 1)
    again, other = tasks.add.bind(2, 2), tasks.add.bind(3, 3)
    assert app.dispatcher.options(key="order-9").enqueue(again) == first
    assert (again.id, again.is_enqueued) == (first.id, True)
    elsewhere = app.dispatcher.options(key="order-9", queue="other").enqueue(other)
    assert elsewhere != first
    work_off(app)
    assert app.dispatcher.options(key="order-9").enqueue(tasks.add, 4, 4).result() == 2
    assert sum(app.dispatcher.task_log.categories().values()) == 2


def test_a_repeated_task_leaves_its_key_with_the_first(app):
    first = app.dispatcher.options(key="order-9").enqueue(tasks.fails)
    app.dispatcher.task_log.cancel(first.id)
    assert app.dispatcher.retry(first.id) != first
    assert app.dispatcher.options(key="order-9").enqueue(tasks.fails) == first


def test_a_key_in_the_application_s_transaction_stands_or_falls_with_it(app, tmp_path):
    options = app.dispatcher.options
    app.dispatcher.initialize()
    file = "one.db" if app.dispatcher.queue("default").database else "log.db"
    engine = sa.create_engine(f"sqlite:///{tmp_path / file}")
    with engine.connect() as connection:
        undone = options(key="order-9", connection=connection).enqueue(tasks.add, 1, 1)
        assert options(key="order-9", connection=connection).enqueue(tasks.add, 1, 1) == undone
        connection.rollback()
        done = options(key="order-9", connection=connection).enqueue(tasks.add, 2, 2)
        connection.commit()
    engine.dispose()
    assert options(key="order-9").enqueue(tasks.add, 3, 3) == done
    assert sum(app.dispatcher.task_log.categories().values()) == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"key": ""}, "option key has 0 characters; it must have 1 to 255"),
        ({"key": "x" * 256}, "option key has 256 characters"),
        ({"key": "two\nlines"}, "all of them printable"),
        ({"key": 9}, "option key is 9; it must be text"),
        ({"group": b"ann"}, "option group is b'ann'; it must be text"),
        ({"key": "k", "id": "0199d2c3-7f8e-7a10-b1f0-6f2f3c8f3c2a"}, "id and key both say"),
        ({"group": "ann"}, "queue 'default' has no groups"),
    ],
)
def test_what_is_no_group_and_no_key_is_refused(app, options, reason):
    with pytest.raises(InvalidArguments, match=reason):
        app.dispatcher.options(**options).enqueue(tasks.add, 1, 1)
    assert app.dispatcher.task_log.stats() == {}


def test_a_key_names_one_task(app):
    with pytest.raises(InvalidArguments, match="key names one task"):
        app.dispatcher.options(key="order-9").enqueue_many([tasks.add.bind(1, 1), tasks.add.bind(2, 2)])


def test_a_message_that_could_not_be_pushed_is_pushed_by_the_keeper(open_app, monkeypatch):
    """P1: the task log is the outbox."""
    app = open_app(TWO_STORES)
    queue = app.dispatcher.queue("default")

    def away(messages):
        raise BrokerUnavailable("the broker is away")

    monkeypatch.setattr(queue.broker, "push", away)
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    assert handle.status() is Status.ENQUEUED
    monkeypatch.undo()
    assert queue.broker.depth().waiting == 0
    assert queue.relay(older_than=0) == 1
    work_off(app)
    assert handle.result() == 2


def test_junk_in_a_queue_is_kept_as_a_failed_entry(app):
    """P7: never an endless loop, never silence."""
    queue = app.dispatcher.queue("default")
    queue.broker.push([Message(new_id(), b"\x00 not ours"), Message("no-id-at-all", b"{}")])
    good = app.dispatcher.enqueue(tasks.add, 1, 1)
    work_off(app)
    assert good.result() == 2
    failed = app.dispatcher.task_log.search(status="failed").entries
    assert len(failed) == 2
    assert all("no message of ours" in app.dispatcher.task_log.report(e.id).message for e in failed)
    assert {app.dispatcher.task_log.get(e.id).payload for e in failed} == {b"\x00 not ours", b"{}"}
    assert queue.broker.depth().total == 0


def test_text_that_somebody_wrote_into_the_table_harms_nobody(open_app, tmp_path):
    """P7."""
    app = open_app(ONE_STORE)
    app.dispatcher.queue("default").broker.push([Message(new_id(), b"{}")])
    engine = sa.create_engine(f"sqlite:///{tmp_path}/one.db")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE taskqueue_message SET body = 'just text'"))
    engine.dispose()
    good = app.dispatcher.enqueue(tasks.add, 1, 1)
    work_off(app)
    assert good.result() == 2
    assert len(app.dispatcher.task_log.search(status="failed").entries) == 1


def test_two_messages_of_a_task_are_one_run(app):
    """P2."""
    queue = app.dispatcher.queue("default")
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    queue.broker.push([Message(handle.id, app.dispatcher.task_log.get(handle.id).payload)])
    turn = queue.turn([], limit=5, lease=60, worker="w1")
    assert [h.claim.id for h in turn.held] == [handle.id]
    assert queue.broker.depth().total == 1


def test_a_second_message_of_a_running_task_is_hidden(app):
    """P2."""
    queue = app.dispatcher.queue("default")
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    first = queue.turn([], limit=1, lease=60, worker="w1")
    queue.broker.push([Message(handle.id, first.held[0].delivery.body)])
    second = queue.turn([], limit=5, lease=60, worker="w2")
    assert (len(first.held), len(second.held)) == (1, 0)
    assert queue.broker.depth().delayed == 1


def another(app: App, *, owner: str) -> Queue:
    """The same queue in another worker's hands."""
    app.dispatcher.initialize()
    first = app.dispatcher.queue("default")
    register(app, owner)
    broker = RdsQueueBroker(first.broker.database, "default", owner=owner)
    return Queue(broker, first.task_log, limits=first.limits, database=first.database, log_database=first.log_database)


def register(app: App, owner: str) -> None:
    for database in app.registers:
        incarnations.register(
            database, owner, slot="here", host="here", pid=1, kind="worker", queues=("default",), lease=600
        )


def test_who_dies_with_a_second_message_in_hand_takes_nothing_from_who_runs_the_task(app, monkeypatch):
    """P2: also where the broker cannot know that it is only a second message."""
    one, two = another(app, owner=new_id()), another(app, owner=new_id())
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    (held,) = one.turn([], limit=1, lease=60, worker="w1").held
    one.broker.push([Message(handle.id, held.delivery.body)])
    monkeypatch.setattr(two.broker, "release", dies)
    with pytest.raises(BrokerUnavailable, match="died"):
        two.turn([], limit=5, lease=60, worker="w2")
    one.recover([two.broker.owner], running={handle.id: "signal 9"})
    assert handle.status() is Status.DEQUEUED
    third = another(app, owner=new_id())
    assert third.turn([], limit=5, lease=60, worker="w3").held == []
    assert one.extend([held], lease=60) == {handle.id}
    assert (app.dispatcher.task_log.get(handle.id).crashes, handle.attempts()) == (0, [])


def dies(*_: object, **__: object) -> NoReturn:
    raise BrokerUnavailable("died before this")


def test_a_claim_that_was_stored_while_its_answer_was_lost_comes_back(app, monkeypatch):
    """R4: whoever else is at work, and although the worker lives on."""
    one = another(app, owner=new_id())
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    claim = one.task_log.claim

    def unanswered(*args: object, **options: object) -> NoReturn:
        claim(*args, **options)
        raise BrokerUnavailable("no answer to this")

    monkeypatch.setattr(one.task_log, "claim", unanswered)
    with pytest.raises(BrokerUnavailable, match="no answer"):
        one.turn([], limit=1, lease=0.0, worker="w1")
    monkeypatch.undo()
    two = another(app, owner=new_id())

    def taken() -> list[Held]:
        two.recover()
        return two.turn([], limit=1, lease=60, worker="w2").held

    eventually(taken, what="the task in other hands")
    assert app.dispatcher.task_log.get(handle.id).worker == "w2"


def test_nothing_is_popped_while_the_log_is_away(open_app, monkeypatch):
    app = open_app(TWO_STORES)
    queue = app.dispatcher.queue("default")
    app.dispatcher.enqueue(tasks.add, 1, 1)
    monkeypatch.setattr(queue.task_log, "statuses", dies)
    with pytest.raises(BrokerUnavailable, match="died"):
        queue.turn([], limit=1, lease=60, worker="w1")
    assert queue.broker.depth().leased == 0


def test_what_a_dead_worker_ran_is_no_word_about_a_lease_of_another(app, monkeypatch):
    """P4: both are recovered in one call, and the task that is lost is the one that the dead had run before."""
    dead, stalled = another(app, owner=new_id()), another(app, owner=new_id())
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    (held,) = dead.turn([], limit=1, lease=60, worker="w1").held
    dead.release([held])
    assert stalled.turn([], limit=1, lease=0.0, worker="w2").held
    lost = eventually(lambda: stalled.recover([dead.broker.owner], running={handle.id: "signal 9"}))
    assert [one.id for one in lost] == [handle.id]
    assert [attempt.cause for attempt in handle.attempts()] == [Cause.HOST_LOST]


def test_a_message_without_an_entry_is_adopted(app):
    queue = app.dispatcher.queue("default")
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    body = app.dispatcher.task_log.get(handle.id).payload
    work_off(app)
    fresh = new_id()
    queue.broker.push([Message(fresh, body.replace(handle.id.encode(), fresh.encode()))])
    work_off(app)
    assert app.dispatcher.handle(fresh).result() == 2


def test_arguments_that_do_not_fit_fail_in_the_worker_with_the_reason(app):
    handle = app.dispatcher.enqueue_by_name("tests.support.tasks:add", a="one", c=2)
    work_off(app)
    assert handle.status() is Status.FAILED
    assert "tests.support.tasks:add" in handle.report().message


def test_an_unknown_name_goes_back_and_fails_after_its_grace(open_app):
    """P7."""
    app = open_app(ONE_STORE)
    handle = app.dispatcher.enqueue_by_name("tests.support.tasks:ad")
    work_off(app)
    entry = app.dispatcher.task_log.get(handle.id)
    assert (entry.status, entry.attempts) == (Status.ENQUEUED, 0)
    assert entry.unknown_since is not None
    app = open_app(ONE_STORE, "unknown_grace = 0")
    handle = app.dispatcher.enqueue_by_name("tests.support.tasks:ad")
    work_off(app)
    assert handle.status() is Status.FAILED
    assert "did you mean 'tests.support.tasks:add'" in handle.report().message


def test_a_full_queue_refuses_more(open_app):
    app = open_app(ONE_STORE, "max_waiting = 2")
    app.dispatcher.enqueue_many([tasks.add.bind(1, 1), tasks.add.bind(1, 1)])
    with pytest.raises(QueueFull, match="takes 2"):
        app.dispatcher.enqueue(tasks.add, 1, 1)
    assert app.dispatcher.queue("default").broker.depth().waiting == 2


def test_a_committed_transaction_is_enqueued_and_a_rolled_back_one_is_gone(app, tmp_path):
    """P1: `connection=`."""
    file = next(iter([*tmp_path.glob("one.db"), *tmp_path.glob("log.db")]), None)
    app.dispatcher.initialize()
    file = file or next(iter([*tmp_path.glob("one.db"), *tmp_path.glob("log.db")]))
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        gone = app.dispatcher.options(connection=connection).enqueue(tasks.add, 1, 1)
        connection.rollback()
        kept = app.dispatcher.options(connection=connection).enqueue(tasks.add, 2, 2)
        connection.commit()
    engine.dispose()
    for queue in app.queues.values():
        queue.relay(older_than=0)
    work_off(app)
    assert app.dispatcher.task_log.broker.get(gone.id) is None
    assert kept.result() == 4


def test_a_connection_to_another_database_is_refused(app, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/another.db")
    with engine.connect() as connection, pytest.raises(ConfigurationError, match=r"another\.db"):
        app.dispatcher.options(connection=connection).enqueue(tasks.add, 1, 1)
    engine.dispose()


def test_an_ended_task_is_repeated_under_a_new_id(app):
    first = app.dispatcher.options(owner="ann", label="nightly").enqueue(tasks.fails)
    with pytest.raises(InvalidTransition):
        app.dispatcher.retry(first.id)
    first.cancel()
    again = app.dispatcher.retry(first.id)
    entry = app.dispatcher.task_log.get(again.id)
    assert (entry.retry_of, entry.owner, entry.label) == (first.id, "ann", "nightly")
    assert again.id != first.id


def test_children_are_refused_under_a_stale_fence(app):
    """R11."""
    handle = app.dispatcher.enqueue(tasks.add, 1, 1)
    with pytest.raises(LeaseLost):
        app.dispatcher.spawn(Parent(handle.id, 7), [tasks.add.bind(1, 1)], [None])
    assert sum(app.dispatcher.task_log.categories().values()) == 1


def test_an_unknown_queue_is_named_with_its_likely_spelling(app):
    with pytest.raises(UnknownQueue, match="did you mean 'default'"):
        app.dispatcher.options(queue="defualt").enqueue(tasks.add, 1, 1)


def test_an_unknown_option_is_refused(app):
    with pytest.raises(InvalidArguments, match="dely"):
        app.dispatcher.options(dely=3)


def test_threads_share_a_dispatcher(app):
    threads = [
        threading.Thread(target=lambda: [app.dispatcher.enqueue(tasks.add, n, 1) for n in range(20)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert app.dispatcher.queue("default").broker.depth().waiting == 80


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_enqueues_with_its_parent_s_dispatcher(app):
    app.dispatcher.enqueue(tasks.add, 1, 1)
    pid = os.fork()
    if pid == 0:
        try:
            app.dispatcher.enqueue(tasks.add, 2, 2)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    app.dispatcher.enqueue(tasks.add, 3, 3)
    assert app.dispatcher.queue("default").broker.depth().waiting == 3


class TestMemory:
    """R18: the memory broker is honest."""

    def test_a_task_runs_at_once_and_its_report_can_be_read(self, open_app):
        assert open_app(MEMORY).dispatcher.enqueue(tasks.add, 2, 3).result() == 5

    def test_a_key_is_good_once_here_too(self, open_app):
        options = open_app(MEMORY).dispatcher.options(key="order-9")
        assert options.enqueue(tasks.add, 2, 3) == options.enqueue(tasks.add, 4, 5)

    def test_retries_are_at_once(self, open_app):
        handle = open_app(MEMORY).dispatcher.enqueue(tasks.fails)
        assert handle.status() is Status.FAILED
        assert handle.report().message == "ValueError: no luck"

    def test_an_async_task_runs_inside_a_running_loop(self, open_app):
        dispatcher = open_app(MEMORY).dispatcher

        async def request() -> tuple[int, int]:
            here = dispatcher.enqueue(tasks.add_async, 1, 2)
            there = await dispatcher.enqueue_async(tasks.add_async, 3, 4)
            return here.result(), there.result()

        assert asyncio.run(request()) == (3, 7)

    def test_what_a_task_enqueues_runs_after_it(self, open_app, tmp_path):
        ledger = tmp_path / "ledger"
        handle = open_app(MEMORY).dispatcher.enqueue(tasks.parent, 3, str(ledger))
        assert handle.status() is Status.COMPLETED
        lines = [line.split()[:2] for line in ledger.read_text().splitlines()]
        assert lines[0] == ["start", handle.id]
        assert [what for what, _ in lines[1:]] == ["start", "end"] * 3

    def test_a_connection_is_refused(self, open_app):
        with pytest.raises(ConfigurationError, match="connection="):
            open_app(MEMORY).dispatcher.options(connection=object()).enqueue(tasks.add, 1, 1)

    def test_no_worker_can_serve_it(self, open_app):
        with pytest.raises(ConfigurationError, match="in memory"):
            open_app(MEMORY).worker(["default"], Limits())

    def test_its_entries_may_be_kept_in_a_database(self, open_app):
        app = open_app(MEMORY + '\n[task_log]\nurl = "sqlite:///{0}/log.db"')
        handle = app.dispatcher.enqueue(tasks.add, 1, 1)
        assert (handle.result(), app.dispatcher.task_log.get(handle.id).attempts) == (2, 1)


def test_context_is_refused_outside_of_a_task():
    with pytest.raises(Exception, match="inside a task"):
        _ = context.id
