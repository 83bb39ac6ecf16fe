"""`TaskLog`: what `queue.task_log` shows to applications."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from taskqueue.clock import to_datetime
from taskqueue.errors import InvalidSearch, TaskQueueError, UnknownEntry
from taskqueue.handle import Handle
from taskqueue.report import Report
from taskqueue.status import Status
from taskqueue.tasklog.entry import Cancellation, Filter, Op, Search
from taskqueue.tasklog.reading import TaskLog
from tests.support.task_logs import Story, ids

NOBODY = "01890000-0000-7000-8000-000000000000"
#: NUL, and each half of a surrogate pair
ODD = ["\0", f"{NOBODY[:-1]}\0", "\ud800", f"\udfff{NOBODY[1:]}"]


@pytest.fixture
def log(story: Story) -> TaskLog:
    return TaskLog(story.log, clock=story.clock)


def test_status_and_report_of_a_task(story: Story, log: TaskLog) -> None:
    task = story.add()
    assert (log.status(task), log.report(task)) == (Status.ENQUEUED, None)
    story.run(task)
    assert log.status(task) is Status.COMPLETED
    assert log.report(task) == Report.success("done")
    assert log.get(task).payload == b"{}"


def test_a_missing_task_is_an_error_and_no_empty_answer(log: TaskLog) -> None:
    """P16."""
    for ask in (log.get, log.status, log.report, log.attempts, log.children, log.cancel, log.archive):
        with pytest.raises(UnknownEntry, match="may have been purged"):
            ask(NOBODY)
    with pytest.raises(UnknownEntry, match="not what task ids look like"):
        log.get("42")


@pytest.mark.parametrize("odd", ODD)
def test_an_id_that_no_store_takes_is_a_missing_task_like_any_other(story: Story, log: TaskLog, odd: str) -> None:
    """P16: databases do not find nothing when they are asked for these, each fails in a way of its own."""
    task = story.add(owner="ann")
    for view in (log, log.for_owner("ann")):
        for ask in (view.get, view.status, view.report, view.attempts, view.children, view.cancel, view.archive):
            with pytest.raises(UnknownEntry, match="not what task ids look like"):
                ask(odd)
        assert view.cancel([odd, task], force=True).keys() == {task}
        assert view.archive([odd, task]) <= {task}
    handle = Handle[None](odd, log)
    for question in (handle.status, handle.report, handle.result, handle.progress, handle.attempts, handle.cancel):
        with pytest.raises(UnknownEntry):
            question()


@pytest.mark.parametrize("odd", ODD)
def test_what_no_store_takes_is_nowhere_in_the_log(story: Story, odd: str) -> None:
    task = story.add(owner="ann")
    log = story.log
    assert (log.get(odd), log.attempts(odd), log.children(odd), log.keyed("mail", odd)) == (None, [], [], None)
    assert log.statuses([task, odd]) == {task: Status.ENQUEUED}
    assert (log.cancel_flags([odd]), log.turns([odd]), log.stats(owner=odd)) == (set(), {}, {})
    log.settle([odd])
    assert (log.archive([odd]), log.cancel([odd, task])) == (set(), {task: Cancellation.CANCELLED})


def test_a_handle_of_a_task_that_is_not_there_says_so_when_it_is_cancelled(log: TaskLog) -> None:
    with pytest.raises(UnknownEntry, match="may have been purged"):
        Handle[None](NOBODY, log).cancel()


def test_searching_by_keywords(story: Story, log: TaskLog) -> None:
    done, late = story.add(queue="reports"), story.add()
    story.run(done)
    assert ids(log.search(status="completed").entries) == [done]
    assert ids(log.search(status=["completed", Status.ENQUEUED], descending=False).entries) == [done, late]
    assert ids(log.search(queue="reports", status="completed").entries) == [done]
    made = to_datetime(story.get(late).created_at)
    assert ids(log.search(Filter("created_at", Op.LT, made)).entries) == [done]
    assert ids(log.search(created_at=made.astimezone()).entries) == [late]


def test_bad_keywords_are_refused(log: TaskLog) -> None:
    with pytest.raises(InvalidSearch, match="unknown column 'onwer', did you mean 'owner'"):
        log.search(onwer="ann")
    with pytest.raises(InvalidSearch, match="unknown status 'done'"):
        log.search(status="done")
    with pytest.raises(InvalidSearch, match="no time zone"):
        log.search(created_at=datetime(2026, 1, 1))  # noqa: DTZ001 that is the point
    with pytest.raises(InvalidSearch, match="not a int"):
        log.search(created_at=timedelta(days=1))


def test_each_goes_through_all_pages(story: Story, log: TaskLog) -> None:
    added = [story.add() for _ in range(7)]
    assert ids(log.each(Search(limit=3, descending=False))) == added


def test_categories_are_the_words_for_people(story: Story, log: TaskLog) -> None:
    story.begin(story.add())
    story.claim(story.add())
    story.add()
    assert log.categories() == {
        "created": 1,
        "in_progress": 2,
        "completed": 0,
        "failed": 0,
        "cancelled": 0,
        "archived": 0,
    }


def test_cancel_one_or_several_or_all_that_are_found(story: Story, log: TaskLog) -> None:
    one, two, other = story.add(), story.add(), story.add()
    many = [story.add(queue="reports") for _ in range(1100)]
    running = story.begin(story.add())
    assert log.cancel(one) == {one: Cancellation.CANCELLED}
    assert log.cancel(iter([one, two, NOBODY])) == {one: Cancellation.TOO_LATE, two: Cancellation.CANCELLED}
    heard: list[int] = []
    found = Search(filters=(Filter("queue", Op.EQ, "reports"), Filter("status", Op.EQ, Status.ENQUEUED)))
    assert set(log.cancel(found, progress=heard.append)) == set(many)
    assert heard == [500, 1000, 1100]
    assert log.cancel(running.id, force=True) == {running.id: Cancellation.CANCELLED}
    assert log.stats() == {"mail": {Status.ENQUEUED: 1, Status.CANCELLED: 3}, "reports": {Status.CANCELLED: 1100}}
    assert log.status(other) is Status.ENQUEUED


def test_archive_what_is_found(story: Story, log: TaskLog) -> None:
    failed, waiting = story.add(), story.add()
    story.run(failed, Status.FAILED)
    assert log.archive(Search()) == {failed}
    assert log.archive(waiting) == set()


def test_purge_by_age_and_status(story: Story, log: TaskLog) -> None:
    for status in (Status.COMPLETED, Status.COMPLETED, Status.FAILED, Status.CANCELLED):
        story.run(story.add(), status)
    story.clock.advance(100)
    heard: list[int] = []
    assert log.purge({Status.COMPLETED: 60.0, Status.FAILED: 200.0}, batch=1, progress=heard.append) == 2
    assert heard == [1, 2]
    assert log.purge(60.0) == 2
    assert log.stats() == {}


# One owner's view


def test_an_owner_sees_and_changes_only_what_is_theirs(story: Story, log: TaskLog) -> None:
    hers, his, nobodys = story.add(owner="ann"), story.add(owner="bob"), story.add()
    ann = log.for_owner("ann")
    assert ids(ann.search().entries) == [hers]
    assert ids(ann.search(owner="bob").entries) == []
    assert ann.stats() == {"mail": {Status.ENQUEUED: 1}}
    assert ann.status(hers) is Status.ENQUEUED
    for task in (his, nobodys):
        for ask in (ann.get, ann.status, ann.report, ann.attempts, ann.children, ann.cancel, ann.archive):
            with pytest.raises(UnknownEntry, match=task):
                ask(task)
    assert ann.cancel([his, nobodys, hers]) == {hers: Cancellation.CANCELLED}
    assert ann.archive([his, nobodys, hers]) == {hers}
    assert ann.cancel(Search(owner="bob")) == {hers: Cancellation.TOO_LATE}
    assert [story.status(i) for i in (his, nobodys)] == [Status.ENQUEUED, Status.ENQUEUED]


def test_an_owner_sees_no_other_owners_children(story: Story, log: TaskLog) -> None:
    parent = story.running_parent(owner="ann")
    child = story.add(parent_id=parent.id, owner="ann")
    story.add(parent_id=parent.id, owner="bob")
    assert ids(log.for_owner("ann").children(parent.id)) == [child]
    assert len(log.children(parent.id)) == 2


def test_a_view_cannot_be_widened(log: TaskLog) -> None:
    ann = log.for_owner("ann")
    assert ann.for_owner("ann").owner == "ann"
    with pytest.raises(TaskQueueError, match="'ann'"):
        ann.for_owner("bob")
    with pytest.raises(TaskQueueError, match="whole"):
        ann.purge(0.0)


def test_times_are_aware(story: Story, log: TaskLog) -> None:
    assert to_datetime(log.get(story.add()).created_at).tzinfo is UTC
