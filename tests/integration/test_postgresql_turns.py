"""A turn by two statements, where PostgreSQL has broker and task log (`taskqueue.queue.turns`)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database import incarnations
from taskqueue.database.engine import Database
from taskqueue.errors import Deposed
from taskqueue.ids import new_id
from taskqueue.message import Message
from taskqueue.queue import Finished, Held, Parent, Queue, Turn
from taskqueue.status import Status
from taskqueue.tasklog.entry import Attempt, Cause, Entry, Outcome
from taskqueue.tasklog.rds import RdsTaskLogBroker
from tests.support.eventually import eventually
from tests.support.statements import asked


@pytest.fixture
def kind() -> str:
    return "postgresql"


@pytest.fixture
def queue(database: Database) -> Queue:
    return queue_of(database)


def queue_of(database: Database) -> Queue:
    return Queue(RdsQueueBroker(database, "mail"), RdsTaskLogBroker(database), database=database)


def enqueued(queue: Queue, n: int = 1, *, priority: int = 5, **message: object) -> list[str]:
    ids = [new_id() for _ in range(n)]
    queue.enqueue(
        [
            (Entry(id=i, name="t", queue="mail", created_at=1, payload=b"{}"), Message(i, b"{}", priority, **message))
            for i in ids
        ]
    )
    return ids


def turn(queue: Queue, limit: int = 10) -> Turn:
    return queue.turn([], limit=limit, lease=60, worker="w")


def ids(turn: Turn) -> list[str]:
    return [held.delivery.id for held in turn.held]


@pytest.fixture
def worker(queue: Queue) -> Queue:
    """One that has registered itself, which its first claim does."""
    assert ids(turn(queue, 1)) == []
    (first,) = enqueued(queue)
    assert ids(turn(queue, 2)) == [first]
    return queue


def test_new_work_comes_by_one_statement_and_its_messages_and_entries_agree(worker, database):
    later, first = enqueued(worker, 3), enqueued(worker, 2, priority=1)
    with asked() as seen:
        found = turn(worker)
    assert len(seen) == 1
    assert ids(found) == [*first, *later]
    assert found.short
    assert [held.claim.fence for held in found.held] == [1] * 5
    entries = [worker.task_log.get(i) for i in ids(found)]
    assert {(e.status, e.worker, e.incarnation) for e in entries} == {(Status.DEQUEUED, "w", worker.broker.owner)}
    assert worker.task_log.stats()["mail"] == {Status.DEQUEUED: 6}
    assert worker.broker.depth().leased == 6
    assert worker.broker.depth().waiting == 0
    worker.release(found.held)
    assert worker.broker.depth().waiting == 5
    assert ids(turn(queue_of(database))) == [*first, *later]


def test_a_full_batch_is_not_short_and_the_next_goes_on_behind_it(worker):
    waiting = enqueued(worker, 7)
    found = turn(worker, 3)
    assert (ids(found), found.short) == (waiting[:3], False)
    with asked() as seen:
        assert ids(turn(worker, 3)) == waiting[3:6]
    assert ["taskqueue_message.id > " in text for text in seen] == [True]
    worker.release(found.held[:1])
    last = turn(worker, 3)
    # What came back lies before the mark, and is found where the rest is too little.
    assert (ids(last), last.short) == ([waiting[0], waiting[6]], True)


def test_a_look_in_vain_writes_nothing(worker, database):
    """What writes has a transaction's number, and is flushed to the disk."""
    assert ids(turn(worker)) == []
    owner = worker.broker.owner
    given = {"of": "mail", "limit": 9, "holder": owner, "lease": 1, "by": "w", "life": owner}
    with database.read() as connection:
        connection.exec_driver_sql("BEGIN")
        answer = connection.execute(worker.broker._handing._statements[False], given).all()
        number = connection.exec_driver_sql("SELECT pg_current_xact_id_if_assigned()").scalar_one()
        connection.exec_driver_sql("ROLLBACK")
    assert (len(answer), number) == (1, None)


def test_who_was_declared_dead_takes_nothing(worker, database):
    """R1"""
    (waiting,) = enqueued(worker)
    incarnations.remove(database, [worker.broker.owner])
    with pytest.raises(Deposed, match="declared dead"):
        turn(worker)
    assert ids(turn(queue_of(database))) == [waiting]


def test_who_was_declared_dead_is_told_so_behind_the_mark_too(worker, database):
    before, last = enqueued(worker, 2)
    held = turn(worker, 1).held
    assert ids(turn(worker, 1)) == [last]
    worker.release(held)
    incarnations.remove(database, [worker.broker.owner])
    with pytest.raises(Deposed, match="declared dead"):
        turn(worker)
    assert before in ids(turn(queue_of(database)))


def test_who_is_being_declared_dead_takes_nothing(worker, database):
    """R1: the claim waits for the end of who does that."""
    (waiting,) = enqueued(worker)
    with ThreadPoolExecutor() as pool:
        with database.begin() as tx:
            tx.execute(sa.delete(database.tables.worker).where(database.tables.worker.c.id == worker.broker.owner))
            claim = pool.submit(turn, worker)
            eventually(lambda: locks_waited_for(database))
            assert not claim.done()
        with pytest.raises(Deposed):
            claim.result(timeout=10)
    assert ids(turn(queue_of(database))) == [waiting]


def locks_waited_for(database: Database) -> int:
    question = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity {})"
    with database.look() as connection:
        return connection.exec_driver_sql(question.format("WHERE datname = current_database()")).scalar_one()


def test_what_must_be_alone_comes_alone(worker):
    before, alone, after = enqueued(worker), enqueued(worker, alone=True), enqueued(worker)
    assert [ids(turn(worker)) for _ in range(3)] == [before, alone, after]


def test_delayed_messages_that_are_due_come_too_and_others_say_when(worker, database):
    (due, late) = enqueued(worker, delay=0.001) + enqueued(worker, delay=60)
    eventually(worker.broker.ready)
    (new,) = enqueued(worker)
    assert sorted(ids(turn(worker)) + ids(turn(worker))) == sorted([due, new])
    found = turn(worker)
    assert ids(found) == []
    assert 50 < found.due_in <= 60
    assert worker.task_log.get(late).status is Status.ENQUEUED


def test_messages_that_may_not_run_are_dealt_with_beside_those_that_may(worker, database):
    good, cancelled, twice = enqueued(worker), enqueued(worker), enqueued(worker)
    worker.task_log.cancel(cancelled)
    worker.broker.push([Message(twice[0], b"{}"), Message(new_id(), b"not ours")])
    found = turn(worker)
    assert ids(found) == [*good, *twice]
    assert worker.broker.depth().total == 3  # with the fixture's
    assert worker.task_log.stats()["mail"] == {Status.DEQUEUED: 3, Status.CANCELLED: 1, Status.FAILED: 1}


def test_within_a_transaction_it_is_a_part_of_that(worker, database):
    (waiting,) = enqueued(worker)
    with pytest.raises(ZeroDivisionError), database.begin():
        assert ids(turn(worker)) == [waiting]
        raise ZeroDivisionError
    assert worker.task_log.get(waiting).status is Status.ENQUEUED
    assert ids(turn(worker)) == [waiting]


def test_two_who_claim_at_once_share(database):
    queues = [queue_of(database) for _ in range(4)]
    waiting = enqueued(queues[0], 200)
    with ThreadPoolExecutor() as pool:
        found = [
            i for turns in pool.map(lambda q: [turn(q, 7) for _ in range(20)], queues) for t in turns for i in ids(t)
        ]
    assert sorted(found) == sorted(waiting)


def test_behind_a_pooler_it_goes_step_by_step(opened):
    queue = queue_of(opened(listen=False))
    (waiting,) = enqueued(queue)
    assert ids(turn(queue)) == [waiting]
    with asked() as seen:
        assert turn(queue).held == []
    assert not any("AS state" in text for text in seen)


# What ended


def ended(held: Held, status: Status = Status.COMPLETED, **values: object) -> Finished:
    outcome = {
        "id": held.claim.id,
        "fence": held.claim.fence,
        "queue": "mail",
        "attempts": held.claim.attempts + 1,
        "report": b'{"kind":"success"}',
        "started_at": 10,
        "finished_at": 20,
    }
    return Finished(held.delivery, Outcome(status=status, **outcome | values))


def test_what_ended_is_stored_by_one_statement_and_new_work_comes_by_another(worker):
    enqueued(worker, 5)
    first = turn(worker, 3)
    with asked() as seen:
        second = worker.turn([ended(held) for held in first.held], limit=3, lease=60, worker="w")
    assert len(seen) == 3  # the new work came by one from the mark on, and as that was too little by one from the start
    assert second.accepted == set(ids(first))
    assert len(second.held) == 2
    entries = [worker.task_log.get(i) for i in ids(first)]
    assert {(e.status, e.attempts, e.report, e.started_at, e.finished_at) for e in entries} == {
        (Status.COMPLETED, 1, b'{"kind":"success"}', 10, 20)
    }
    assert worker.broker.depth().leased == 3  # with the fixture's
    assert worker.task_log.stats()["mail"] == {Status.COMPLETED: 3, Status.DEQUEUED: 3}


def test_a_repeated_end_is_accepted_and_changes_nothing(worker):
    """R4"""
    enqueued(worker)
    (held,) = turn(worker).held
    for report in (b"1", b"2"):
        found = worker.turn([ended(held, report=report)], limit=0, lease=60, worker="w")
        assert found.accepted == {held.claim.id}
    assert worker.task_log.get(held.claim.id).report == b"1"
    assert worker.task_log.stats()["mail"] == {Status.COMPLETED: 1, Status.DEQUEUED: 1}


def test_who_has_lost_a_task_ends_it_no_more(worker, database):
    """P2"""
    enqueued(worker)
    (late,) = turn(worker).held
    other = queue_of(database)
    other.recover([worker.broker.owner])
    (held,) = [one for one in turn(other).held if one.claim.id == late.claim.id] or turn(other).held
    assert worker.turn([ended(late)], limit=0, lease=60, worker="w").accepted == set()
    assert worker.task_log.get(late.claim.id).status is Status.DEQUEUED
    assert other.turn([ended(held)], limit=0, lease=60, worker="w").accepted == {late.claim.id}


def test_a_parent_waits_for_its_children_and_the_rest_ends(worker):
    enqueued(worker, 3)
    parent, child, other = turn(worker).held
    assert worker.task_log.adopt_child(parent.claim.id, fence=parent.claim.fence)
    found = worker.turn([ended(parent), ended(other)], limit=0, lease=60, worker="w")
    assert found.accepted == {parent.claim.id, other.claim.id}
    assert worker.task_log.get(parent.claim.id).status is not Status.RUNNING
    assert worker.task_log.get(other.claim.id).status is Status.COMPLETED
    assert worker.turn([ended(child)], limit=0, lease=60, worker="w").accepted == {child.claim.id}
    assert worker.broker.depth().leased == 1  # the fixture's


def test_a_child_that_says_nothing_of_its_parent_ends_it(worker):
    """P11"""
    enqueued(worker)
    (parent,) = turn(worker).held
    child = new_id()
    entry = Entry(id=child, name="t", queue="mail", created_at=1, payload=b"{}", parent_id=parent.claim.id)
    worker.enqueue([(entry, Message(child, b"{}"))], parent=Parent(parent.claim.id, parent.claim.fence))
    worker.turn([ended(parent)], limit=0, lease=60, worker="w")
    assert worker.task_log.get(parent.claim.id).status is Status.CHILD_RUNNING
    worker.turn([ended(held) for held in turn(worker).held], limit=0, lease=60, worker="w")
    assert worker.task_log.get(parent.claim.id).status is Status.COMPLETED


def test_failures_and_retries_go_the_common_way_beside_what_ended_well(worker):
    enqueued(worker, 3)
    good, bad, again = turn(worker).held
    attempt = Attempt(task_id=bad.claim.id, fence=bad.claim.fence, attempt=1, cause=Cause.ERROR, ended_at=20)
    outcomes = [ended(good), ended(bad, Status.FAILED, attempt=attempt), ended(again, Status.ENQUEUED, delay=60)]
    found = worker.turn(outcomes, limit=5, lease=60, worker="w")
    assert found.accepted == {held.claim.id for held in (good, bad, again)}
    assert found.held == []
    states = {Status.COMPLETED: 1, Status.FAILED: 1, Status.ENQUEUED: 1, Status.DEQUEUED: 1}
    assert worker.task_log.stats()["mail"] == states
    assert [a.cause for a in worker.task_log.attempts(bad.claim.id)] == [Cause.ERROR]
    assert (worker.broker.depth().delayed, worker.broker.depth().leased) == (1, 1)


def test_a_report_of_any_bytes_and_an_unknown_start_are_stored(worker):
    enqueued(worker)
    (held,) = turn(worker).held
    worker.task_log.start(held.claim.id, fence=held.claim.fence, attempt=1, at=7)
    report = bytes(range(256)) * 40
    worker.turn([ended(held, report=report, started_at=None, finished_at=None)], limit=0, lease=60, worker="w")
    entry = worker.task_log.get(held.claim.id)
    assert (entry.report, entry.started_at) == (report, 7)
    assert entry.finished_at > 7
