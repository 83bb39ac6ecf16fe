"""What a task logged last stands with its attempt, where that did not end well."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from taskqueue.worker.lastlines import LINES, SIZE
from tests.support import tasks
from tests.support.project import REPOSITORY

pytestmark = pytest.mark.process


def logged(project, handle):
    return [attempt.log for attempt in project.queue.task_log.attempts(handle.id)]


def test_each_attempt_that_fails_has_the_lines_that_it_logged_and_no_other(project):
    handle = project.queue.enqueue(tasks.tells, 2, "raise")
    quiet = project.queue.enqueue(tasks.fails)
    fine = project.queue.enqueue(tasks.tells, 2, "end well")
    project.worker("default", "--limit", "6").wait()
    lines = [log.splitlines() for log in logged(project, handle)]
    assert [len(one) for one in lines] == [2, 2]
    for one in lines:
        for number, line in enumerate(one):
            assert " INFO    shop.tasks[" in line
            assert line.endswith(f"] line {number}  of=2")  # and not which task it is: it stands with its attempt
    assert logged(project, quiet) == [None] * 3
    assert logged(project, fine) == []


def test_a_task_that_answers_that_it_failed_has_its_lines_too(project):
    handle = project.queue.enqueue(tasks.tells, 1, "answer")
    project.drain()
    (attempt,) = project.queue.task_log.attempts(handle.id)
    assert (attempt.cause.value, attempt.detail) == ("error", "no luck")
    assert attempt.log.endswith("line 0  of=1")


def test_only_the_last_lines_are_kept(project):
    handle = project.queue.enqueue(tasks.tells, LINES + 30, "answer")
    project.drain()
    (log,) = logged(project, handle)
    assert [line.rpartition("] ")[2] for line in log.splitlines()] == [
        f"line {number}  of={LINES + 30}" for number in range(30, LINES + 30)
    ]


def test_coroutines_and_threads_of_the_task_count(project):
    handle = project.queue.enqueue(tasks.tells_from_everywhere)
    project.drain()
    (log,) = logged(project, handle)
    said = {line.rpartition("] ")[2] for line in log.splitlines()}
    assert said == {
        "from the coroutine",
        "from to_thread",
        "from a coroutine beside",
        "from a thread of its own",
    }


def test_what_is_kept_is_safe_to_show_and_has_no_password(project):
    handle = project.queue.enqueue(tasks.tells_odd_things)
    project.drain()
    (log,) = logged(project, handle)
    assert "s3cret" not in log
    assert "postgresql://ann:***@" in log
    assert r"\nforged \x1b[31m\x00\ud800" in log
    assert "LookupError: nothing there" in log
    assert "xxx..." in log
    assert "%d ('no number',)" in log
    assert len(log.encode()) < SIZE


def shown(project, *words):
    command = [sys.executable, "-m", "taskqueue", "--config", str(project.config), "log", "show", *words]
    return subprocess.run(command, cwd=REPOSITORY, text=True, check=True, stdout=subprocess.PIPE).stdout


def test_log_show_has_the_lines(project):
    handle = project.queue.enqueue(tasks.tells, 1, "answer")
    project.drain()
    page = shown(project, handle.id)
    assert "what attempt 1 logged last" in page
    assert "line 0  of=1" in page
    said = json.loads(shown(project, handle.id, "--json"))
    (attempt,) = said["attempts_that_did_not_end_well"]
    assert attempt["log"].endswith("line 0  of=1")


def test_under_a_supervisor_what_a_killed_worker_s_task_logged_is_not_lost(supervisor, site):
    handle, silent = site.queue.enqueue(tasks.tells_and_dies, 3), site.queue.enqueue(tasks.tells_and_dies, 0)
    handle.wait(30)
    silent.wait(30)
    (attempt,) = site.queue.task_log.attempts(handle.id)
    assert attempt.cause.value == "crash"
    assert [line.rpartition("] ")[2] for line in attempt.log.splitlines()] == ["line 0", "line 1", "line 2"]
    assert logged(site, silent) == [None]
