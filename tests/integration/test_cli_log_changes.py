"""`taskqueue log cancel, archive, retry, purge`: one, many after a question, and never more than was said."""

from __future__ import annotations

from taskqueue.status import Status
from tests.support.shell import Shell

ERRANDS = "tests.support.errands"
ADD = f"{ERRANDS}:add"


def enqueued(sh: Shell) -> str:
    return sh.enqueue(ADD, "a=1")


def ended(sh: Shell, task: str = "add") -> str:
    task_id = sh.enqueue(f"{ERRANDS}:{task}", *(["a=1"] if task == "add" else []))
    sh.drain()
    return task_id


def status(sh: Shell, task_id: str) -> Status:
    return sh.app.dispatcher.task_log.status(task_id)


def test_what_waits_is_cancelled_and_what_runs_is_asked(sh):
    """P12."""
    enqueued(sh)
    running, waiting = sh.hold().claim.id, enqueued(sh)
    assert sh("log", "cancel", waiting, running) == f"{waiting} cancelled\n{running} it runs: asked to stop\n"
    assert sh("log", "cancel", running, "--force") == f"{running} cancelled\n"
    ran = sh.type("log", "cancel", waiting)
    assert (ran.code, ran.out) == (1, f"{waiting} too late: it had ended\n")


def test_many_are_cancelled_after_a_question(sh):
    ids = [enqueued(sh) for _ in range(3)]
    ran = sh.type("log", "cancel", "--all")
    assert ran.code == 2
    assert "nobody can be asked here: add --yes" in ran.line
    ran = sh.type("log", "cancel", "--all", typed="n\n")
    assert (ran.code, ran.out) == (1, "")
    assert "Cancel 3 tasks (enqueued or dequeued or running or child_running)?" in ran.err
    assert "not confirmed, nothing was changed" in ran.err
    assert {status(sh, one) for one in ids} == {Status.ENQUEUED}
    assert sh("log", "cancel", "--queue", "default", typed="y\n") == "3 cancelled\n"
    assert sh("log", "cancel", "--all", "--yes") == "no tasks\n"


def test_ended_tasks_are_put_away(sh):
    done, failed, waiting = ended(sh), ended(sh, "give_up"), enqueued(sh)
    ran = sh.type("log", "archive", done, waiting)
    assert (ran.code, ran.out) == (1, f"{done} archived\n{waiting} not archived: it is enqueued\n")
    assert sh("log", "archive", "--failed", "--yes") == "1 archived\n"
    assert status(sh, failed) is Status.ARCHIVED


def test_ended_tasks_are_enqueued_once_more(sh):
    failed = ended(sh, "give_up")
    new = sh("log", "retry", failed).split()[-1]
    assert sh.json("log", "show", new)["retry_of"] == failed
    assert sh("log", "retry", "--failed", "--yes") == "1 enqueued once more\n"
    ran = sh.type("log", "retry", new)
    assert ran.code == 1
    assert new in ran.line


def ended_long_ago(sh: Shell) -> str:
    task_id = sh.enqueue(ADD, "a=1", "--id", "0189d2c3-7f8e-7a10-b1f0-6f2f3c8f3c2a")
    sh.drain()
    sh.change("UPDATE taskqueue_entry SET finished_at = created_at - 366 * 86400 * 1000000 WHERE id = ?", task_id)
    return task_id


def test_only_what_has_ended_for_long_is_purged(sh):
    new, old, waiting = ended(sh), ended_long_ago(sh), enqueued(sh)
    assert sh.type("log", "purge", "--older-than", "1h").code == 2
    assert sh("log", "purge", "--older-than", "1h", "--status", "failed", "--yes") == "0 deleted\n"
    assert sh("log", "purge", "--older-than", "1h", "--yes") == "1 deleted\n"
    assert sh.type("log", "show", old).code == 1
    assert (status(sh, new), status(sh, waiting)) == (Status.COMPLETED, Status.ENQUEUED)


def test_purge_without_an_age_keeps_to_the_configuration(sh):
    new = ended(sh)
    ended_long_ago(sh)
    assert sh("log", "purge") == "1 deleted\n"
    assert status(sh, new) is Status.COMPLETED
