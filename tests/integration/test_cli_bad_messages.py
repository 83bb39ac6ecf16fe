"""Messages and results that cannot be what they should: what the commands say of them, and that nothing is lost."""

from __future__ import annotations

import json

import pytest

from taskqueue.status import Status
from tests.support.shell import Shell

ERRANDS = "tests.support.errands"
ADD = f"{ERRANDS}:add"


def test_a_message_that_is_too_large_is_refused_whole(sh):
    arguments = json.dumps({"to": "x" * 17 * 1024 * 1024, "password": "hunter2"})
    ran = sh.type("enqueue", f"{ERRANDS}:mail", "--json", "-", typed=arguments)
    assert ran.code == 1
    assert "16,777,216" in ran.line
    assert len(ran.line) < 300
    assert sh.json("log", "list")["entries"] == []


@pytest.mark.parametrize("body", [b"\xff\x00 no message", b"[]", b'{"v": 99}'])
def test_a_message_that_cannot_be_read_fails_its_task_and_no_other(sh, body):
    """P7."""
    broken, whole = sh.enqueue(ADD, "a=1"), sh.enqueue(ADD, "a=2")
    for table, column, name in (("message", "body", "task_id"), ("entry", "payload", "id")):
        sh.change(f"UPDATE taskqueue_{table} SET {column} = ? WHERE {name} = ?", body, broken)
    sh.drain()
    assert sh.app.dispatcher.handle(whole).result() == 12
    assert sh.app.dispatcher.task_log.status(broken) is Status.FAILED
    assert "It failed at " in sh("log", "why", broken)
    shown = sh.json("log", "show", broken)
    assert shown["report"]["message"]
    assert list(shown["parameters"]) == ["?"]
    ran = sh.type("log", "retry", broken)
    assert (ran.code, bool(ran.line)) == (1, True)


def test_a_message_of_nobody_is_dropped_and_the_worker_goes_on(sh):
    """P7."""
    task_id = sh.enqueue(ADD, "a=1")
    sh.change("UPDATE taskqueue_message SET task_id = 'nobody', body = ?", b"junk")
    sh("stuck", "restart")
    sh.drain()
    assert sh.app.dispatcher.handle(task_id).result() == 11


@pytest.mark.parametrize("command", ["run", "enqueue --wait --id 0199d2c3-7f8e-7a10-b1f0-6f2f3c8f3c2a"])
def test_a_result_that_cannot_be_stored_is_a_failure_that_says_so(sh: Shell, command: str):
    if command != "run":
        sh.enqueue(f"{ERRANDS}:unstorable", *command.split()[2:])
        sh.drain()
    ran = sh.type(*command.split(), f"{ERRANDS}:unstorable")
    assert (ran.code, ran.err) == (1, "")
    assert "object" in ran.out


@pytest.mark.parametrize("column", ["report", "progress"])
def test_a_row_that_somebody_spoilt_harms_no_list(sh, column):
    task_id = sh.enqueue(ADD, "a=1")
    sh.drain()
    sh.change(f"UPDATE taskqueue_entry SET {column} = ? WHERE id = ?", b"\xff junk", task_id)
    for args in (("log", "list"), ("log", "show", task_id), ("log", "why", task_id), ("doctor",)):
        assert sh(*args)
    assert len(sh.json("log", "list")["entries"]) == 1
