"""What every task log promises about forgetting: whole ended trees, in small steps."""

from __future__ import annotations

import pytest

from taskqueue.status import Status
from taskqueue.tasklog.entry import Cause, Search
from tests.support.task_logs import Story

DAY = 86_400.0


def purge(story: Story, status: Status = Status.COMPLETED, *, days: float = 1, limit: int = 500) -> list[int]:
    before = story.clock.now - int(days * DAY * 1e6)
    return list(story.log.purge(status=status, before=before, limit=limit))


def left(story: Story) -> set[str]:
    return {entry.id for entry in story.log.search(Search(limit=1000)).entries}


def test_what_ended_before_the_cut_goes_and_nothing_else(story: Story) -> None:
    old, failed, waiting = story.add(), story.add(), story.add()
    story.run(old)
    story.run(failed, Status.FAILED)
    story.clock.advance(2 * DAY)
    young = story.add()
    story.run(young)
    assert purge(story) == [1]
    assert left(story) == {failed, waiting, young}
    assert story.log.stats() == {"mail": {Status.FAILED: 1, Status.ENQUEUED: 1, Status.COMPLETED: 1}}
    assert purge(story) == []


def test_what_waited_long_and_ended_lately_stays(story: Story) -> None:
    task = story.add()
    story.clock.advance(2 * DAY)
    story.run(task)
    assert purge(story) == []
    assert left(story) == {task}


def test_what_was_cancelled_during_its_delay_stays_until_its_message_was_due(story: Story) -> None:
    """P12: a message that finds no entry is taken for one from somewhere else, and would run."""
    task = story.add(due_at=story.clock.now + int(5 * DAY * 1e6))
    story.log.cancel([task])
    story.clock.advance(3 * DAY)
    assert purge(story, Status.CANCELLED) == []
    story.clock.advance(4 * DAY)
    assert purge(story, Status.CANCELLED) == [1]


@pytest.mark.parametrize("depth", [1, 2])
def test_a_tree_stays_until_the_messages_of_all_in_it_were_due(story: Story, depth: int) -> None:
    """P12, as above: of its children no more than of itself."""
    parents = [story.running_parent()]
    for _ in range(depth - 1):
        parents.append(story.running_parent(parent_id=parents[-1].id))
    story.add(parent_id=parents[-1].id, due_at=story.clock.now + int(5 * DAY * 1e6))
    for parent in parents:
        story.finish(parent)
    story.log.cancel([parents[0].id])
    assert story.status(parents[0].id) is Status.FAILED
    story.clock.advance(3 * DAY)
    assert purge(story, Status.FAILED) == []
    assert len(left(story)) == depth + 1
    story.clock.advance(4 * DAY)
    assert sum(purge(story, Status.FAILED)) == depth + 1


def test_attempts_go_with_their_entry(story: Story) -> None:
    claim = story.begin(story.add())
    story.log.release({claim.id: claim.fence}, cause=Cause.STOPPED)
    story.run(claim.id)
    story.clock.advance(2 * DAY)
    purge(story)
    assert story.log.attempts(claim.id) == []


def test_deleted_in_batches_that_say_how_many(story: Story) -> None:
    for _ in range(25):
        story.run(story.add())
    story.clock.advance(2 * DAY)
    assert purge(story, limit=10) == [10, 10, 5]
    assert story.log.stats() == {}


def test_a_purge_that_is_cut_short_has_done_its_first_steps(story: Story) -> None:
    for _ in range(25):
        story.run(story.add())
    story.clock.advance(2 * DAY)
    steps = story.log.purge(status=Status.COMPLETED, before=story.clock.now, limit=10)
    assert next(steps) == 10
    assert len(left(story)) == 15


def test_a_tree_goes_as_a_whole(story: Story) -> None:
    root = story.running_parent()
    middle = story.running_parent(parent_id=root.id)
    leaves = [story.add(parent_id=middle.id) for _ in range(5)]
    for leaf in leaves:
        story.run(leaf, Status.FAILED)
    for claim in (middle, root):
        story.finish(claim)
    other = story.add()
    story.run(other)
    story.clock.advance(2 * DAY)
    assert purge(story) == [1], "children go with their root only, and the root has failed"
    assert len(left(story)) == 7
    assert sum(purge(story, Status.FAILED, limit=2)) == 7
    assert story.log.stats() == {}


def test_a_tree_with_an_open_leaf_stays(story: Story) -> None:
    root = story.running_parent(master_status=True)
    middle = story.running_parent(parent_id=root.id, master_status=True)
    leaf = story.add(parent_id=middle.id)
    for claim in (middle, root):
        story.finish(claim)
    story.clock.advance(2 * DAY)
    assert purge(story) == []
    story.run(leaf)
    assert sum(purge(story)) == 3, "the root is old enough, whatever its leaves are"
    assert left(story) == set()


def test_a_child_whose_parent_is_gone_is_a_root(story: Story) -> None:
    orphan = story.add(parent_id="01890000-0000-7000-8000-000000000000")
    story.run(orphan)
    story.clock.advance(2 * DAY)
    assert purge(story) == [1]


def test_children_of_a_kept_parent_do_not_stop_the_walk(story: Story) -> None:
    parent = story.running_parent()
    for _ in range(7):
        story.run(story.add(parent_id=parent.id))
    story.finish(parent, Status.FAILED)
    lonely = story.add()
    story.run(lonely)
    story.clock.advance(2 * DAY)
    assert purge(story, limit=3) == [1]
    assert len(left(story)) == 8
