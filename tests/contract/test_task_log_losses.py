"""P3, P4, R5: what becomes of entries whose worker is no more."""

from __future__ import annotations

import pytest

from taskqueue import codec
from taskqueue.message import Lost
from taskqueue.status import Status
from taskqueue.tasklog.entry import Attempt, Cause, Claim
from tests.support.task_logs import LIFE, Story

SIGNAL = "signal 11 (SEGV)"


def lose(story: Story, *claims: Claim, ran: str | None = None, only_one: bool = False, most: int = 2) -> list[str]:
    """They are lost; of `ran` its worker is known to have died."""
    lost = [Lost(c.id, LIFE, only_one, cause=SIGNAL if c.id == ran else None) for c in claims]
    return [one.id for one in story.log.lost(lost, max_crashes={"mail": most})]


def test_what_had_not_started_goes_back_as_if_nothing_had_been(story: Story) -> None:
    claim = story.claim(story.add())
    assert lose(story, claim) == []
    entry = story.get(claim.id)
    assert (entry.status, entry.crashes, entry.attempts, entry.worker) == (Status.ENQUEUED, 0, 0, None)
    assert story.log.attempts(claim.id) == []


def test_what_the_task_logged_before_its_worker_died_is_kept(story: Story) -> None:
    task = story.add()
    claim = story.begin(task)
    story.log.lost([Lost(claim.id, LIFE, cause=SIGNAL, log="line 1\nline 2")], max_crashes={})
    assert [attempt.log for attempt in story.log.attempts(task)] == ["line 1\nline 2"]


@pytest.mark.parametrize("started", [False, True])
def test_the_task_that_ran_when_its_worker_died_counts_a_crash(story: Story, started: bool) -> None:
    """The start may not have been written yet: the scoreboard knows better."""
    task = story.add()
    claim = story.begin(task) if started else story.claim(task)
    started_at = story.get(task).started_at
    assert lose(story, claim, ran=task) == []
    entry = story.get(task)
    assert (entry.status, entry.crashes, entry.attempts) == (Status.ENQUEUED, 1, 1)
    assert story.log.attempts(task) == [
        Attempt(
            task_id=task,
            fence=claim.fence,
            attempt=1,
            cause=Cause.CRASH,
            detail=SIGNAL,
            worker="w1",
            started_at=started_at,
            ended_at=story.clock.now,
        )
    ]


@pytest.mark.parametrize("started", [False, True])
def test_a_lease_that_ended_singly_counts_a_crash(story: Story, started: bool) -> None:
    """The start may not have been written yet, and nobody knows better."""
    task = story.add()
    claim = story.begin(task) if started else story.claim(task)
    lose(story, claim, only_one=True)
    assert story.get(claim.id).crashes == 1
    assert [a.cause for a in story.log.attempts(claim.id)] == [Cause.HOST_LOST]


def test_a_death_that_nobody_can_attribute_counts_for_nobody(story: Story) -> None:
    """R5: but the attempt stays visible."""
    one, two = story.begin(story.add()), story.claim(story.add())
    lose(story, one, two)
    assert [story.get(i).crashes for i in (one.id, two.id)] == [0, 0]
    assert [a.cause for a in story.log.attempts(one.id)] == [Cause.LEASE_LOST]


def test_a_poisonous_task_is_run_again_so_often_and_no_more(story: Story) -> None:
    """P4: at most `max_crashes` re-runs, then a report that names the cause and the attempt."""
    task = story.add()
    for _ in range(2):
        assert lose(story, story.begin(task), ran=task) == []
    last = story.begin(task)
    assert last.crashes == 2
    assert lose(story, last, ran=task) == [task]
    entry = story.get(task)
    assert (entry.status, entry.crashes, entry.finished_at) == (Status.FAILED, 3, story.clock.now)
    assert entry.report is not None
    report = codec.decode_report(entry.report)
    assert report.failed
    assert SIGNAL in report.message
    assert "Attempt 3" in report.message
    assert report.data == {"cause": "crash", "detail": SIGNAL, "attempt": 3, "crashes": 3}
    assert len(story.log.attempts(task)) == 3


def test_a_task_that_was_given_up_stays_so_whatever_its_last_run_reports(story: Story) -> None:
    task = story.add()
    claim = story.begin(task)
    lose(story, claim, ran=task, most=0)
    assert not story.finish(claim)
    assert story.status(task) is Status.FAILED


def test_what_another_worker_claimed_is_not_lost_with_a_second_message_of_it(story: Story) -> None:
    """P2: who dies with a message of a task in hand that somebody else runs takes nothing from that one."""
    claim = story.begin(story.add(), incarnation="alive")
    assert story.log.lost([Lost(claim.id, "dead", only_one=True, cause=SIGNAL)], max_crashes={}) == []
    entry = story.get(claim.id)
    assert (entry.status, entry.crashes, entry.fence, entry.incarnation) == (Status.RUNNING, 0, claim.fence, "alive")
    assert story.log.attempts(claim.id) == []
    both = [Lost(claim.id, "dead", cause=SIGNAL), Lost(claim.id, "alive")]
    assert story.log.lost(both, max_crashes={}) == []
    assert (story.status(claim.id), story.get(claim.id).crashes) == (Status.ENQUEUED, 0)
    assert [a.cause for a in story.log.attempts(claim.id)] == [Cause.LEASE_LOST], "and not the other one's death"


def test_crashes_that_are_told_twice_count_once(story: Story) -> None:
    task = story.add()
    claim = story.begin(task)
    for _ in range(2):
        lose(story, claim, ran=task)
    assert story.get(task).crashes == 1


def test_what_has_ended_is_not_lost(story: Story) -> None:
    claim = story.begin(story.add())
    story.finish(claim)
    assert lose(story, claim, ran=claim.id) == []
    assert (story.status(claim.id), story.get(claim.id).crashes) == (Status.COMPLETED, 0)


def test_what_is_lost_with_its_cancel_requested_ends_cancelled(story: Story) -> None:
    """P12."""
    claim = story.begin(story.add())
    story.log.cancel([claim.id])
    assert lose(story, claim) == [claim.id]
    assert story.status(claim.id) is Status.CANCELLED


def test_an_ordered_death_does_not_touch_the_count(story: Story) -> None:
    """P4: ten deploys do not poison a long task."""
    task = story.add()
    for _ in range(10):
        lose(story, story.begin(task))
    entry = story.get(task)
    assert (entry.status, entry.crashes, entry.attempts) == (Status.ENQUEUED, 0, 0)
    assert [a.attempt for a in story.log.attempts(task)] == [1] * 10


def test_only_what_a_task_did_itself_is_left_when_crashes_are_taken_from_attempts(story: Story) -> None:
    """P9: that is what its `retries` are counted by."""
    task = story.add()
    lose(story, story.begin(task), ran=task)
    lose(story, story.begin(task))
    story.log.release({task: story.begin(task).fence}, cause=Cause.LEASE_LOST, detail="brought back by hand")
    lose(story, story.begin(task), only_one=True)
    story.run(task, Status.ENQUEUED)
    lose(story, story.claim(task))
    entry = story.get(task)
    assert (entry.attempts, entry.crashes) == (3, 2)


def test_a_crashed_child_that_is_given_up_fails_its_parent(story: Story) -> None:
    parent = story.running_parent()
    child = story.begin(story.add(parent_id=parent.id))
    story.finish(parent)
    lose(story, child, ran=child.id, most=0)
    assert story.status(parent.id) is Status.FAILED
