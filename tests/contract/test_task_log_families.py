"""P11, P12, R11: parents and children, and cancelling them."""

from __future__ import annotations

import threading

import pytest

from taskqueue import codec
from taskqueue.report import Report
from taskqueue.status import Status
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.tasklog.entry import Cancellation, Claim
from tests.support.task_logs import OpenTaskLog, Story, ids


def family(story: Story, children: int = 3, **parent: object) -> tuple[Claim, list[str]]:
    """A parent whose own run is over, and its children."""
    claim = story.running_parent(**parent)
    born = [story.add(parent_id=claim.id) for _ in range(children)]
    assert story.finish(claim)
    return claim, born


def report_of(log: TaskLogBroker, task_id: str) -> Report:
    entry = log.get(task_id)
    assert entry is not None
    assert entry.report is not None
    return codec.decode_report(entry.report)


def test_only_who_runs_may_have_children(story: Story) -> None:
    claim = story.claim(story.add())
    assert story.log.adopt_child(claim.id, fence=claim.fence)
    assert not story.log.adopt_child(claim.id, fence=claim.fence + 1)
    assert story.get(claim.id).has_children
    story.finish(claim)
    assert not story.log.adopt_child(claim.id, fence=claim.fence)


def test_a_parent_waits_for_its_last_child(story: Story) -> None:
    parent, (first, second, third) = family(story)
    for child in (first, second):
        story.run(child)
        assert (story.status(parent.id), story.get(parent.id).finished_at) == (Status.CHILD_RUNNING, None)
    story.clock.advance(1)
    story.run(third)
    entry = story.get(parent.id)
    assert (entry.status, entry.finished_at) == (Status.COMPLETED, story.clock.now)
    assert report_of(story.log, parent.id).message == "done"


def test_children_that_ended_first_let_the_parent_complete_at_once(story: Story) -> None:
    parent = story.running_parent()
    story.run(story.add(parent_id=parent.id))
    story.finish(parent)
    assert story.status(parent.id) is Status.COMPLETED


def test_a_parent_that_had_no_child_after_all_completes(story: Story) -> None:
    parent = story.running_parent()
    story.finish(parent)
    assert story.status(parent.id) is Status.COMPLETED


def test_a_whole_family_may_finish_in_one_write(story: Story) -> None:
    parent = story.running_parent()
    children = [story.begin(story.add(parent_id=parent.id)) for _ in range(3)]
    outcomes = [story.outcome(claim) for claim in (*children, parent)]
    assert len(story.log.finish(outcomes)) == 4
    assert story.status(parent.id) is Status.COMPLETED


def test_a_parent_fails_with_its_children_and_names_them(story: Story) -> None:
    parent, children = family(story, children=9)
    for child in children[:6]:
        story.run(child, Status.FAILED)
    story.log.cancel(children[6:8])
    story.run(children[8])
    assert story.status(parent.id) is Status.FAILED
    report = report_of(story.log, parent.id)
    assert (report.message, report.failed) == ("done", True)
    assert report.children[0].message.startswith("6 of 9 children failed and 2 of 9 children cancelled: ")
    assert report.children[0].message.endswith(f"{children[4]}, ...")
    assert report.children[0].data == {"failed": 6, "cancelled": 2, "total": 9, "ids": children[:5]}


def test_a_parent_without_a_report_gets_that_of_its_children(story: Story) -> None:
    parent = story.running_parent()
    child = story.add(parent_id=parent.id)
    story.finish(parent, report=None)
    story.run(child, Status.FAILED)
    assert report_of(story.log, parent.id).message == f"1 of 1 children failed: {child}"


@pytest.mark.parametrize("in_entry", [True, False])
def test_a_parent_with_its_own_status_does_not_wait(story: Story, in_entry: bool) -> None:
    parent = story.running_parent(master_status=in_entry)
    child = story.add(parent_id=parent.id)
    story.finish(parent, master_status=not in_entry)
    assert story.status(parent.id) is Status.COMPLETED
    story.run(child, Status.FAILED)
    assert story.status(parent.id) is Status.COMPLETED


def test_a_parent_that_fails_by_itself_has_failed(story: Story) -> None:
    parent = story.running_parent()
    child = story.add(parent_id=parent.id)
    story.finish(parent, Status.FAILED)
    assert story.status(parent.id) is Status.FAILED
    story.run(child)
    assert story.status(parent.id) is Status.FAILED


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_generations_end_from_the_bottom_up(story: Story, status: Status) -> None:
    claims = [story.running_parent()]
    for _ in range(3):
        claims.append(story.running_parent(parent_id=claims[-1].id))
    for claim in claims[:-1]:
        story.finish(claim)
    assert {story.status(claim.id) for claim in claims[:-1]} == {Status.CHILD_RUNNING}
    story.finish(claims[-1], status)
    assert {story.status(claim.id) for claim in claims} == {status}


def test_a_child_that_retries_keeps_its_parent_waiting(story: Story) -> None:
    parent, (child,) = family(story, children=1)
    story.finish(story.begin(child), Status.ENQUEUED, delay=3.0)
    assert story.status(parent.id) is Status.CHILD_RUNNING
    story.run(child)
    assert story.status(parent.id) is Status.COMPLETED


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
@pytest.mark.parametrize("report", [Report.info("said"), Report.error("said")])
def test_an_archived_child_counts_as_what_it_was(story: Story, status: Status, report: Report) -> None:
    """P11: whatever it had to say."""
    parent, (first, second) = family(story, children=2)
    story.run(first, status, report=codec.encode_report(report))
    story.log.archive([first])
    assert (story.status(first), story.get(first).archived_from) == (Status.ARCHIVED, status)
    story.run(second)
    assert story.status(parent.id) is (Status.COMPLETED if status is Status.COMPLETED else Status.FAILED)


def test_settling_decides_anew_and_harms_nothing(story: Story) -> None:
    waiting, (child, _) = family(story, children=2)
    done = story.add()
    story.run(done)
    story.log.settle([waiting.id, done, child, "0" * 36])
    assert story.status(waiting.id) is Status.CHILD_RUNNING
    assert story.status(done) is Status.COMPLETED


def test_children_that_end_at_once_in_two_workers_leave_no_parent_waiting(
    story: Story, open_task_log: OpenTaskLog
) -> None:
    """R11."""
    for _ in range(5):
        parent, children = family(story, children=4)
        claims = [story.begin(child) for child in children]
        barrier = threading.Barrier(4)

        def finish(claim: Claim, barrier: threading.Barrier = barrier) -> None:
            log = open_task_log()
            barrier.wait()
            log.finish([story.outcome(claim)])

        threads = [threading.Thread(target=finish, args=(claim,)) for claim in claims]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert story.status(parent.id) is Status.COMPLETED


def test_children_are_listed_oldest_first(story: Story) -> None:
    parent, children = family(story)
    story.run(children[1])
    found = story.log.children(parent.id)
    assert ids(found) == children
    assert {child.payload for child in found} == {b""}
    assert found[1].report is not None
    assert story.log.children(children[0]) == []


# Cancel


def test_a_cancel_says_what_it_did(story: Story) -> None:
    """P12."""
    waiting, held, running = story.add(), story.claim(story.add()), story.begin(story.add())
    ended, (parent, _) = story.add(), family(story)
    story.run(ended)
    answers = story.log.cancel([waiting, held.id, running.id, ended, parent.id, "0" * 36])
    assert answers == {
        waiting: Cancellation.CANCELLED,
        held.id: Cancellation.REQUESTED,
        running.id: Cancellation.REQUESTED,
        ended: Cancellation.TOO_LATE,
        parent.id: Cancellation.REQUESTED,
    }


def test_an_enqueued_task_that_was_cancelled_never_starts(story: Story) -> None:
    task = story.add()
    story.log.cancel([task])
    entry = story.get(task)
    assert (entry.status, entry.finished_at) == (Status.CANCELLED, story.clock.now)
    assert report_of(story.log, task).failed
    with pytest.raises(AssertionError, match="ENDED"):
        story.claim(task)


def test_a_worker_sees_the_cancel_and_decides(story: Story) -> None:
    cancelled, other = story.begin(story.add()), story.begin(story.add())
    story.log.cancel([cancelled.id])
    assert story.log.cancel_flags([cancelled.id, other.id, "0" * 36]) == {cancelled.id}
    assert story.finish(cancelled, Status.CANCELLED)
    assert story.status(cancelled.id) is Status.CANCELLED


def test_a_task_may_complete_although_it_was_asked_to_stop(story: Story) -> None:
    claim = story.begin(story.add())
    story.log.cancel([claim.id])
    assert story.log.cancel([claim.id]) == {claim.id: Cancellation.REQUESTED}
    story.finish(claim)
    assert story.status(claim.id) is Status.COMPLETED


def test_what_is_released_after_a_cancel_does_not_come_again(story: Story) -> None:
    claim = story.claim(story.add())
    story.log.cancel([claim.id])
    assert story.log.release({claim.id: claim.fence}) == {claim.id}
    assert story.status(claim.id) is Status.CANCELLED


@pytest.mark.parametrize("started", [False, True])
def test_force_ends_a_run_and_refuses_what_it_still_writes(story: Story, started: bool) -> None:
    task = story.add()
    claim = story.begin(task) if started else story.claim(task)
    assert story.log.cancel([task], force=True) == {task: Cancellation.CANCELLED}
    assert story.log.cancel_flags([task]) == {task}, "the worker learns of it"
    assert not story.finish(claim)
    assert not story.log.progress(task, fence=claim.fence, progress=b"1")
    assert story.log.release({task: claim.fence}) == set()
    assert story.status(task) is Status.CANCELLED


def test_cancelling_a_parent_cancels_what_is_open_below_it(story: Story) -> None:
    root = story.running_parent()
    middle = story.running_parent(parent_id=root.id)
    other = story.add(parent_id=root.id)
    leaf, running, done = (story.add(parent_id=middle.id) for _ in range(3))
    story.begin(running)
    story.run(done)
    story.finish(middle, Status.FAILED)
    story.finish(root)
    assert story.log.cancel([root.id]) == {root.id: Cancellation.REQUESTED}
    assert [story.status(i) for i in (other, leaf, done)] == [Status.CANCELLED, Status.CANCELLED, Status.COMPLETED]
    assert story.log.cancel_flags([running]) == {running}


def test_cancelling_the_last_open_children_ends_the_parent(story: Story) -> None:
    parent, children = family(story)
    story.run(children[0])
    story.log.cancel(children[1:])
    assert story.status(parent.id) is Status.FAILED
    assert report_of(story.log, parent.id).children[0].data["cancelled"] == 2


def test_cancelling_a_waiting_parent_by_force_ends_it_with_its_children(story: Story) -> None:
    parent, (waiting, running) = family(story, children=2)
    story.begin(running)
    story.log.cancel([parent.id], force=True)
    assert [story.status(i) for i in (waiting, running)] == [Status.CANCELLED, Status.CANCELLED]
    assert story.status(parent.id) is Status.FAILED


UNREADABLE = [b"\xff\xff", b'{"kind":"success","message":{"a":1}}', b'{"kind":"success","data":{"$odd":1}}', b""]


@pytest.mark.parametrize("report", UNREADABLE)
@pytest.mark.parametrize("archived", [False, True])
def test_a_report_that_cannot_be_read_does_not_hold_up_its_family(
    story: Story, report: bytes, *, archived: bool
) -> None:
    parent = story.running_parent()
    readable, odd = story.add(parent_id=parent.id), story.add(parent_id=parent.id)
    story.finish(parent, report=report)
    story.run(odd, report=report)
    if archived:
        story.log.archive([odd])
    story.run(readable, Status.FAILED)
    assert story.status(parent.id) is Status.FAILED
    stored = story.get(parent.id).report
    assert stored is not None
    assert codec.decode_report(stored).message == f"1 of 2 children failed: {readable}"
