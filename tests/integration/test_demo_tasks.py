from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskqueue import Status
from taskqueue.demo.files import Tree, shown
from taskqueue.demo.summary import summarise
from taskqueue.demo.tasks import measure_file, survey
from taskqueue.testing import Kit

ODD = [b"plain.txt", b"two\nlines", b"\xff\xfe", b"100%", "ä.txt".encode(), b"$datetime"]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name in ODD:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name * 100)
    return Tree(str(tmp_path))


def start(kit: Kit, tree: Tree) -> str:
    return kit.queue.enqueue(survey, shown(tree.folder), tree.suffix, list(tree.skip)).id


def test_every_file_is_a_child_whatever_its_name(taskqueue_testing: Kit, tree: Tree) -> None:
    parent = start(taskqueue_testing, tree)
    taskqueue_testing.drain(raise_failures=True)
    found = summarise(taskqueue_testing.task_log, parent, tree, tree.files())
    assert found.problems == []
    assert (found.counted, found.files, found.attempts) == (len(ODD), len(ODD), len(ODD))
    assert found.bytes == sum(100 * len(name) for name in ODD)
    assert found.parent_status == "completed"
    assert found.unreadable == {}
    assert {task.label for task in taskqueue_testing.enqueued(measure_file)} == set(map(shown, tree.files()))


def test_a_file_that_cannot_be_read_is_a_failed_child_and_no_crash(
    taskqueue_testing: Kit, tree: Tree, tmp_path: Path
) -> None:
    parent, files = start(taskqueue_testing, tree), tree.files()
    with pytest.raises(AssertionError, match="more are due"):
        taskqueue_testing.drain(limit=1)  # the parent
    (tmp_path / "plain.txt").unlink()
    taskqueue_testing.drain()
    found = summarise(taskqueue_testing.task_log, parent, tree, files)
    assert found.unreadable.keys() == {"plain.txt"}
    assert "FileNotFoundError" in found.unreadable["plain.txt"]
    assert found.problems == []
    assert found.parent_status == Status.FAILED.label
    assert found.counted == len(ODD) - 1


def test_more_files_than_one_batch(taskqueue_testing: Kit, tmp_path: Path) -> None:
    for number in range(1203):
        (tmp_path / f"{number}.txt").touch()
    tree = Tree(str(tmp_path))
    parent = start(taskqueue_testing, tree)
    taskqueue_testing.drain(limit=2000)
    found = summarise(taskqueue_testing.task_log, parent, tree, tree.files())
    assert (found.counted, found.problems) == (1203, [])
