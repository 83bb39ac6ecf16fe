"""What every task log promises about one entry's life. Two handles on the same log stand for two processes."""

from __future__ import annotations

import threading

import pytest

from taskqueue import codec
from taskqueue.message import Delivery, Lost
from taskqueue.status import Status
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.tasklog.entry import Attempt, Cause, Claim, Entry, Refusal
from tests.support.task_logs import LIFE, OpenTaskLog, Story, ids


def test_an_entry_comes_back_as_it_was_added(story: Story) -> None:
    entry = story.entry(
        priority=2,
        label="nightly",
        owner="ann",
        category="post",
        parent_id="0" * 36,
        master_status=True,
        retry_of="1" * 36,
        payload=b'{"v":1}',
        due_at=7,
        relayed_at=8,
    )
    assert story.log.add([entry]) == [entry.id]
    assert story.log.get(entry.id) == entry


def test_adding_again_adds_nothing(story: Story) -> None:
    """P1: a lost answer can be repeated."""
    one, two, three = (story.entry() for _ in range(3))
    assert story.log.add([one]) == [one.id]
    assert story.log.add([one]) == []
    story.run(one.id)
    assert story.log.add([three, one, two, two]) == [three.id, two.id]
    assert story.status(one.id) is Status.COMPLETED
    assert story.log.stats() == {"mail": {Status.COMPLETED: 1, Status.ENQUEUED: 2}}


def test_a_missing_entry_is_none(story: Story) -> None:
    assert story.log.get("0" * 36) is None
    assert story.log.statuses(["0" * 36]) == {}


def test_another_handle_sees_it(story: Story, open_task_log: OpenTaskLog) -> None:
    assert open_task_log().statuses([story.add()]) != {}


# The outbox


def test_what_did_not_reach_its_broker_is_found_once_it_is_old_enough(story: Story) -> None:
    """P1."""
    old, other, third = story.add(payload=b"body"), story.add(queue="reports"), story.add()
    story.add(relayed_at=1)
    cut = story.clock.now + 1
    story.clock.advance(1)
    story.add()
    assert [e.id for e in story.log.unrelayed(before=cut, limit=9, queue="mail")] == [old, third]
    assert [e.id for e in story.log.unrelayed(before=cut, limit=9, queue="reports")] == [other]
    assert story.log.unrelayed(before=cut, limit=9, queue="mail")[0].payload == b"body"
    assert [e.id for e in story.log.unrelayed(before=cut, limit=1, queue="mail")] == [old]
    story.log.relayed([old], at=story.clock.now)
    assert [e.id for e in story.log.unrelayed(before=cut, limit=9, queue="mail")] == [third]
    assert story.get(old).relayed_at == story.clock.now


def test_what_was_cancelled_need_not_reach_its_broker(story: Story) -> None:
    task = story.add()
    story.log.cancel([task])
    assert story.log.unrelayed(before=story.clock.now + 1, limit=9, queue="mail") == []


# Claims


def test_a_claim_moves_the_entry_and_raises_its_fence(story: Story) -> None:
    task = story.add(unknown_since=5)
    claim = story.claim(task, worker="host/mail/0")
    assert claim == Claim(task, 1, 0, 0, cancel_requested=False, has_children=False, unknown_since=5)
    entry = story.get(task)
    assert (entry.status, entry.fence, entry.worker) == (Status.DEQUEUED, 1, "host/mail/0")


def test_a_claim_says_why_not(story: Story) -> None:
    fresh, held, ended, parent = story.add(), story.add(), story.add(), story.running_parent()
    story.log.add([story.entry(parent_id=parent.id)])
    story.finish(parent)
    story.claim(held)
    story.run(ended)
    asked = [Delivery(i, b"", "r") for i in (fresh, held, ended, parent.id, "0" * 36)]
    answers = story.log.claim(asked, worker="w2", incarnation=LIFE)
    assert isinstance(answers.pop(fresh), Claim)
    assert answers == {
        held: Refusal.HELD,
        ended: Refusal.ENDED,
        parent.id: Refusal.ENDED,
        "0" * 36: Refusal.MISSING,
    }
    assert story.get(held).worker == "w1"


def test_two_deliveries_of_one_task_are_one_claim(story: Story) -> None:
    """P2."""
    task = story.add()
    answers = story.log.claim([Delivery(task, b"", "r1"), Delivery(task, b"", "r2")], worker="w1", incarnation=LIFE)
    assert len(answers) == 1
    assert story.get(task).fence == 1


def test_two_claims_at_once_never_share_an_entry(story: Story, open_task_log: OpenTaskLog) -> None:
    """P2."""
    asked = [Delivery(story.add(), b"", "r") for _ in range(200)]
    won: list[str] = []
    barrier = threading.Barrier(4)

    def claim(worker: str) -> None:
        log = open_task_log()
        barrier.wait()
        for start in range(0, len(asked), 10):
            answers = log.claim(asked[start : start + 10], worker=worker, incarnation=LIFE)
            won.extend(i for i, answer in answers.items() if isinstance(answer, Claim))

    threads = [threading.Thread(target=claim, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted(delivery.id for delivery in asked)


# Runs


def test_a_start_is_written_under_its_fence(story: Story) -> None:
    claim = story.begin(story.add())
    entry = story.get(claim.id)
    assert (entry.status, entry.attempts, entry.started_at) == (Status.RUNNING, 1, story.clock.now)
    assert story.log.start(claim.id, fence=claim.fence, attempt=1, at=story.clock.now), "said again after a lost answer"
    assert not story.log.start(claim.id, fence=claim.fence + 1, attempt=1, at=story.clock.now)


def test_what_has_ended_or_gone_back_cannot_start(story: Story) -> None:
    claim = story.claim(story.add())
    story.log.release({claim.id: claim.fence})
    assert not story.log.start(claim.id, fence=claim.fence, attempt=1, at=1)


def test_progress_is_kept_while_the_fence_holds(story: Story) -> None:
    claim = story.begin(story.add())
    assert story.log.progress(claim.id, fence=claim.fence, progress=b"[1,2]")
    assert not story.log.progress(claim.id, fence=claim.fence + 1, progress=b"[2,2]")
    assert story.get(claim.id).progress == b"[1,2]"
    story.finish(claim)
    assert not story.log.progress(claim.id, fence=claim.fence, progress=b"[2,2]")


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_a_finish_stores_the_report(story: Story, status: Status, started: bool) -> None:
    task = story.add()
    claim = story.begin(task) if started else story.claim(task)
    story.clock.advance(1)
    assert story.finish(claim, status, report=b"{}", started_at=4, finished_at=5)
    entry = story.get(task)
    assert (entry.status, entry.report, entry.attempts) == (status, b"{}", 1)
    assert (entry.started_at, entry.finished_at, entry.worker) == (4, 5, "w1")


def test_a_finish_under_an_old_fence_changes_nothing(story: Story) -> None:
    """P2."""
    task = story.add()
    stale = story.begin(task)
    story.log.release({task: stale.fence})
    story.claim(task, worker="w2")
    assert not story.finish(stale)
    assert (story.status(task), story.get(task).report) == (Status.DEQUEUED, None)
    assert not story.finish(stale, Status.ENQUEUED)


def test_a_finish_said_again_is_accepted_and_changes_nothing(story: Story) -> None:
    """R4."""
    claim = story.begin(story.add())
    assert story.finish(claim, report=b'"first"')
    assert story.finish(claim, Status.FAILED, report=b'"second"')
    assert (story.status(claim.id), story.get(claim.id).report) == (Status.COMPLETED, b'"first"')
    story.log.archive([claim.id])
    assert story.finish(claim)
    assert story.log.stats() == {"mail": {Status.ARCHIVED: 1}}


def test_a_finish_after_the_lease_counts_until_someone_claims_again(story: Story) -> None:
    """P15: an outage ended the lease, the report was kept by its worker."""
    task = story.add()
    claim = story.begin(task)
    story.log.release({task: claim.fence})
    assert story.finish(claim)
    assert story.status(task) is Status.COMPLETED


def test_one_refused_outcome_does_not_keep_the_others(story: Story) -> None:
    good, stale = story.begin(story.add()), story.begin(story.add())
    story.log.cancel([stale.id], force=True)
    missing = story.outcome(Claim("0" * 36, 1, 0, 0, cancel_requested=False, has_children=False))
    assert story.log.finish([story.outcome(stale), missing, story.outcome(good)]) == {good.id}
    assert story.status(good.id) is Status.COMPLETED


def test_a_retry_waits_for_its_delay_and_keeps_the_attempt(story: Story) -> None:
    """P9."""
    claim = story.begin(story.add())
    attempt = Attempt(task_id=claim.id, fence=1, attempt=1, cause=Cause.RETRY, detail="again", ended_at=9, report=b"{}")
    outcome = story.outcome(claim, Status.ENQUEUED, delay=30.0, attempt=attempt)
    for _ in range(2):
        assert story.log.finish([outcome]) == {claim.id}
    entry = story.get(claim.id)
    assert (entry.status, entry.attempts, entry.worker, entry.started_at) == (Status.ENQUEUED, 1, None, None)
    assert entry.due_at == story.clock.now + 30_000_000
    assert story.log.attempts(claim.id) == [attempt]
    assert story.claim(claim.id) == Claim(claim.id, 2, 1, 0, cancel_requested=False, has_children=False)


def test_since_when_a_name_is_unknown_outlives_the_way_back(story: Story) -> None:
    """P7."""
    claim = story.claim(story.add())
    story.finish(claim, Status.ENQUEUED, attempts=0, unknown_since=77)
    assert story.claim(claim.id).unknown_since == 77


def test_a_retry_of_a_task_whose_cancel_was_requested_ends_cancelled(story: Story) -> None:
    """P12: an enqueued task that was cancelled never starts."""
    claim = story.begin(story.add())
    story.log.cancel([claim.id])
    assert story.finish(claim, Status.ENQUEUED, delay=30.0)
    entry = story.get(claim.id)
    assert (entry.status, entry.finished_at) == (Status.CANCELLED, story.clock.now)
    assert entry.report is not None
    assert "Cancelled" in codec.decode_report(entry.report).message


# Releases


@pytest.mark.parametrize("started", [False, True])
def test_a_release_gives_back_what_the_fence_holds(story: Story, started: bool) -> None:
    task = story.add()
    claim = story.begin(task) if started else story.claim(task)
    assert story.log.release({task: claim.fence + 1}) == set()
    assert story.log.release({task: claim.fence}) == {task}
    assert story.log.release({task: claim.fence}) == {task}, "said again after a lost answer"
    entry = story.get(task)
    assert (entry.status, entry.worker, entry.started_at) == (Status.ENQUEUED, None, None)
    assert story.claim(task).fence == claim.fence + 1


def test_a_release_with_a_cause_keeps_the_attempt_of_what_was_running(story: Story) -> None:
    running, unstarted = story.begin(story.add()), story.claim(story.add())
    started_at = story.get(running.id).started_at
    fences = {running.id: running.fence, unstarted.id: unstarted.fence}
    story.log.release(fences, cause=Cause.STOPPED, detail="the worker was told to stop")
    assert story.log.attempts(unstarted.id) == []
    assert story.log.attempts(running.id) == [
        Attempt(
            task_id=running.id,
            fence=1,
            attempt=1,
            cause=Cause.STOPPED,
            detail="the worker was told to stop",
            worker="w1",
            started_at=started_at,
            ended_at=story.clock.now,
        )
    ]


def test_an_ended_entry_cannot_be_released(story: Story) -> None:
    claim = story.begin(story.add())
    story.finish(claim)
    assert story.log.release({claim.id: claim.fence}) == set()
    assert story.status(claim.id) is Status.COMPLETED


# Archive, counts


def test_only_what_has_ended_is_archived(story: Story) -> None:
    waiting, done = story.add(), story.add()
    story.run(done)
    assert story.log.archive([waiting, done, "0" * 36]) == {done}
    assert story.log.archive([done]) == set()
    assert [story.status(i) for i in (waiting, done)] == [Status.ENQUEUED, Status.ARCHIVED]


def test_stats_tell_queues_and_statuses_apart(story: Story) -> None:
    story.run(story.add(), Status.FAILED)
    story.add(owner="ann")
    story.add(queue="reports", owner="ann")
    assert story.log.stats() == {
        "mail": {Status.FAILED: 1, Status.ENQUEUED: 1},
        "reports": {Status.ENQUEUED: 1},
    }
    assert story.log.stats(owner="ann") == {"mail": {Status.ENQUEUED: 1}, "reports": {Status.ENQUEUED: 1}}
    assert story.log.stats(owner="bob") == {}


def test_ids_may_be_many(story: Story) -> None:
    """A statement's length does not grow with its list."""
    entries = [story.entry() for _ in range(2000)]
    assert len(story.log.add(entries)) == 2000
    deliveries = [Delivery(entry.id, b"", "r") for entry in entries]
    claims = [c for c in story.log.claim(deliveries, worker="w1", incarnation=LIFE).values() if isinstance(c, Claim)]
    assert len(story.log.finish([story.outcome(claim) for claim in claims])) == 2000
    assert story.log.stats() == {"mail": {Status.COMPLETED: 2000}}


def test_added_failed_is_failed(story: Story) -> None:
    """P7: a message that was refused has an entry that says so."""
    entry = story.entry(status=Status.FAILED, report=b"{}", finished_at=5)
    story.log.add([entry])
    assert story.log.stats() == {"mail": {Status.FAILED: 1}}
    assert isinstance(story.log.get(entry.id), Entry)


# The outbox


def test_what_must_wait_for_longer_is_not_in_the_outbox_yet(story: Story) -> None:
    soon, later = story.add(due_at=story.clock.now + 60_000_000), story.add(due_at=story.clock.now + 3_600_000_000)
    now = story.add()
    story.clock.advance(1)
    before = story.clock.now

    def left(**options: int) -> list[str]:
        return ids(story.log.unrelayed(before=before, limit=10, queue="mail", **options))

    assert left() == [soon, later, now]
    assert left(due=before + 900_000_000) == [soon, now]


def test_what_was_relayed_long_ago_and_still_waits_may_be_lost(story: Story) -> None:
    old, running, again, elsewhere = story.add(), story.add(), story.add(), story.add(queue="other")
    story.log.relayed([old, running, again, elsewhere], at=story.clock.now)
    story.begin(running)
    story.clock.advance(3600)
    before, young = story.clock.now, story.add()
    story.log.relayed([again, young], at=story.clock.now)
    assert ids(story.log.unheard_of(before=before, limit=10, queue="mail")) == [old]


def test_what_is_to_be_pushed_again_is_in_the_outbox_again(story: Story) -> None:
    task_id = story.add()
    story.log.relayed([task_id], at=story.clock.now)
    story.clock.advance(1)
    assert story.log.unrelayed(before=story.clock.now, limit=10, queue="mail") == []
    story.log.relayed([task_id], at=None)
    assert ids(story.log.unrelayed(before=story.clock.now, limit=10, queue="mail")) == [task_id]


# Hints: deliveries that may be old, out of place, or twice (R7)


def hints(story: Story, *task_ids: str) -> dict[str, Claim | Refusal]:
    deliveries = [Delivery(task_id, b"{}", f"r{task_id}") for task_id in task_ids]
    return story.log.claim(deliveries, worker="w1", incarnation=LIFE, due=story.clock.now)


def claimed(answers: dict[str, Claim | Refusal]) -> list[str]:
    return [task_id for task_id, answer in answers.items() if isinstance(answer, Claim)]


def test_an_old_message_starts_no_task_before_it_is_due(story: Story) -> None:
    task_id = story.add()
    story.run(task_id, Status.ENQUEUED, delay=60)
    assert hints(story, task_id) == {task_id: Refusal.EARLY}
    story.clock.advance(60)
    assert claimed(hints(story, task_id)) == [task_id]


def test_tasks_of_a_group_are_claimed_one_at_a_time_in_the_order_of_their_coming(story: Story) -> None:
    early, late = (story.entry(group_name="ann") for _ in range(2))
    # Ids say nothing of the order: the store does.
    story.log.add([late])
    story.log.add([early])
    other, loose = story.add(group_name="bob"), story.add()
    answers = hints(story, early.id, late.id, other, loose)
    assert answers[early.id] is Refusal.BEHIND
    assert claimed(answers) == [late.id, other, loose]
    assert story.log.turns([early.id, late.id, loose]) == {early.id: late.id, late.id: late.id}
    assert hints(story, early.id) == {early.id: Refusal.BEHIND}
    claim = answers[late.id]
    assert isinstance(claim, Claim)
    assert story.finish(claim)
    assert claimed(hints(story, early.id)) == [early.id]


def test_a_task_that_is_to_be_run_again_keeps_its_place_in_its_group(story: Story) -> None:
    first, second = story.add(group_name="ann"), story.add(group_name="ann")
    story.run(first, Status.ENQUEUED, delay=60)
    assert hints(story, first, second) == {first: Refusal.EARLY, second: Refusal.BEHIND}
    story.clock.advance(60)
    story.run(first, Status.FAILED)
    assert claimed(hints(story, second)) == [second]


def test_a_task_that_was_enqueued_with_a_delay_joins_its_group_when_that_is_over(story: Story) -> None:
    delayed = story.add(group_name="ann", due_at=story.clock.now + 60_000_000)
    second, third = story.add(group_name="ann"), story.add(group_name="ann")
    assert claimed(hints(story, second)) == [second]
    story.clock.advance(60)
    story.log.cancel([second], force=True)
    assert claimed(hints(story, third, delayed)) == [delayed]


def test_groups_of_two_queues_are_two(story: Story) -> None:
    mail, other = story.add(group_name="ann"), story.add(group_name="ann", queue="other")
    assert claimed(hints(story, mail, other)) == [mail, other]


def test_a_suspect_is_claimed_by_itself_until_it_ended_by_its_own_word(story: Story) -> None:
    """R5: though its message says nothing of it."""
    suspect, other = story.add(), story.add()
    story.begin(suspect)
    story.log.lost([Lost(suspect, LIFE, alone=True)], max_crashes={})
    assert story.get(suspect).alone
    assert hints(story, other, suspect)[suspect] is Refusal.CROWDED
    third = story.add()
    answers = hints(story, suspect, third)
    assert claimed(answers) == [suspect]
    assert answers[third] is Refusal.CROWDED
    claim = answers[suspect]
    assert isinstance(claim, Claim)
    assert story.finish(claim, Status.ENQUEUED)
    assert claimed(hints(story, suspect, third)) == [suspect, third]


# Keys


def test_a_key_is_good_once_in_its_queue(story: Story, open_task_log: OpenTaskLog) -> None:
    first = story.add(unique_key="order-9")
    again, elsewhere = story.entry(unique_key="order-9"), story.entry(unique_key="order-9", queue="other")
    assert open_task_log().add([again]) == []
    assert story.log.keyed("mail", "order-9") == first
    assert story.get(first).unique_key == "order-9"
    assert story.log.get(again.id) is None
    assert story.log.add([elsewhere]) == [elsewhere.id]
    assert story.log.keyed("mail", "order-8") is None
    assert story.log.stats() == {"mail": {Status.ENQUEUED: 1}, "other": {Status.ENQUEUED: 1}}


def test_of_several_who_use_a_key_at_the_same_moment_one_is_stored(story: Story, open_task_log: OpenTaskLog) -> None:
    entries = [story.entry(unique_key="order-9") for _ in range(8)]
    logs, together = [open_task_log() for _ in entries], threading.Barrier(len(entries))
    new: list[str] = []

    def add(log: TaskLogBroker, entry: Entry) -> None:
        together.wait()
        new.extend(log.add([entry]))

    threads = [threading.Thread(target=add, args=pair) for pair in zip(logs, entries, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert new == [story.log.keyed("mail", "order-9")]
    assert story.log.stats() == {"mail": {Status.ENQUEUED: 1}}
