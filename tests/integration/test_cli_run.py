"""`taskqueue run`: a task with all that it enqueues, in this process and nowhere else."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskqueue.registry import REGISTRY
from tests.support.shell import Shell, shell

TASKS = """
from pathlib import Path
from taskqueue import context, task

@task
def note(file: str, text: str) -> None:
    with Path(file).open("a") as out:
        out.write(text)

@task(queue="other")
def note_elsewhere(file: str, text: str) -> None:
    note(file, text)

@task
def whole(file: str) -> str:
    context.create_child(note_elsewhere, file, "a child in another queue, ")
    note.enqueue(file, "a task of its own, ")
    note(file, "first itself, ")
    return "done"

@task
def interrupted() -> None:
    raise KeyboardInterrupt
"""


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as opened:
        (opened.folder / "tasks_to_run.py").write_text(TASKS)
        opened.config.write_text(opened.config.read_text().replace("tests.support.errands", "tasks_to_run"))
        before = dict(REGISTRY._definitions)
        yield opened
        REGISTRY._definitions = before
        sys.modules.pop("tasks_to_run", None)


def test_what_a_task_enqueues_runs_after_it_whatever_its_queue(sh):
    """R18."""
    file = sh.folder / "notes"
    assert json.loads(sh("run", "tasks_to_run:whole", f"file={file}", "--json-report"))["data"] == "done"
    text = file.read_text()
    assert text.startswith("first itself, ")
    assert sorted(text.removesuffix(", ").split(", ")) == [
        "a child in another queue",
        "a task of its own",
        "first itself",
    ]
    assert not (sh.folder / "tasks.db").exists()


def test_an_interrupted_task_is_exit_code_130(sh):
    assert sh.type("run", "tasks_to_run:interrupted").code == 130
