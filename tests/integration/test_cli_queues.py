"""Queues, what is stuck in them, the doctor and the keeper, at the command line."""

from __future__ import annotations

import json
import signal
import threading
from typing import Any

import pytest

from taskqueue.status import Status
from tests.support.eventually import eventually
from tests.support.shell import Shell

ADD = "tests.support.errands:add"

# queues


def test_queues_say_how_full_they_are(sh):
    sh.enqueue(ADD, "a=1")
    sh.enqueue(ADD, "a=1")
    sh.hold()
    default, other = sh.json("queues")
    known = {"waiting": 1, "delayed": 0, "leased": 1, "workers": 1, "paused": None, "store": "main", "queue": "default"}
    assert default | known == default
    assert default["oldest_seconds"] >= 0
    assert (other["waiting"], other["oldest_seconds"], other["workers"]) == (0, None, 0)
    lines = [line.split("\t") for line in sh("queues").splitlines()]
    assert lines[0] == ["Queue", "Waiting", "Delayed", "Leased", "Oldest", "Workers", "Paused", "Store"]
    assert lines[1][:4] == ["default", "1", "0", "1"]


def test_a_paused_queue_stands_until_it_is_resumed(sh):
    """P6."""
    task_id = sh.enqueue(ADD, "a=1")
    assert sh("queues", "pause", "default") == "default is paused\n"
    assert sh("queues", "pause", "default").startswith("default was paused already since ")
    sh("worker", "--for", "0.2s")
    assert sh.app.dispatcher.task_log.status(task_id) is Status.ENQUEUED
    assert "@" in sh.json("queues")[0]["paused"]["by"]
    assert sh("queues", "resume", "default") == "default goes on\n"
    assert sh("queues", "resume", "default") == "default was not paused\n"
    sh.drain()
    assert sh.app.dispatcher.task_log.status(task_id) is Status.COMPLETED


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_only_queues_that_exist_are_paused(sh, verb):
    ran = sh.type("queues", verb, "defalt")
    assert ran.code == 1
    assert "no queue 'defalt' in the configuration, did you mean 'default'?" in ran.line


# stuck


def test_a_task_whose_worker_died_is_stuck_until_it_is_brought_back(sh):
    """P3."""
    sh.enqueue(ADD, "a=1")
    held = sh.hold(lease=0.05)
    (one,) = sh.json("stuck", "list")
    assert one == {
        "id": held.claim.id,
        "status": "running",
        "queue": "default",
        "worker": "host:4711",
        "reason": "its lease has ended",
    }
    assert f"{held.claim.id}\trunning\tdefault\thost:4711\tits lease has ended" in sh("stuck", "list")
    assert sh("stuck", "restart") == "1 brought back\n"
    assert sh("stuck", "restart") == "0 brought back\n"
    assert sh.json("stuck", "list") == []
    sh.drain()
    assert sh.app.dispatcher.task_log.status(held.claim.id) is Status.COMPLETED


def test_a_living_worker_keeps_what_it_holds(sh):
    sh.enqueue(ADD, "a=1")
    sh.hold()
    assert sh.json("stuck", "list") == []
    assert sh("stuck", "restart") == "0 brought back\n"


def test_an_entry_without_a_message_gets_one(sh):
    task_id = sh.enqueue(ADD, "a=1")
    sh.change("DELETE FROM taskqueue_message")
    assert [one["reason"] for one in sh.json("stuck", "list")] == ["its queue has no message of it"]
    assert sh("stuck", "restart") == "1 brought back\n"
    sh.drain()
    assert sh.app.dispatcher.handle(task_id).result() == 11


# doctor


def findings(sh: Shell, *, code: int) -> list[dict[str, Any]]:
    ran = sh.type("doctor", "--json")
    assert (ran.code, ran.err) == (code, ""), ran
    found: list[dict[str, Any]] = json.loads(ran.out)
    return found


def ills(sh: Shell) -> dict[str, str]:
    return {one["subject"]: f"{one['text']} -> {one['advice']}" for one in findings(sh, code=1) if not one["well"]}


def test_the_doctor_finds_a_fresh_installation_well(sh):
    sh("init")
    assert all(finding["well"] for finding in findings(sh, code=0))
    out = sh("doctor")
    assert all(line.startswith("ok ") for line in out.splitlines())
    assert "answers; schema 0001" in out


def test_the_doctor_changes_nothing(sh):
    sh.enqueue(ADD, "a=1")
    before = sh.json("log", "list")
    sh.type("doctor")
    assert sh.json("log", "list") == before


def test_the_doctor_misses_workers_where_tasks_wait(sh):
    sh.enqueue(ADD, "a=1")
    found = ills(sh)
    assert list(found) == ["queue default"]
    assert "no worker serves it; 1 task waiting" in found["queue default"]
    assert "start one: `taskqueue worker default`" in found["queue default"]


def test_the_doctor_sees_a_dead_worker_and_what_it_held(sh):
    sh.enqueue(ADD, "a=1")
    sh.hold(lease=0.05)
    found = ills(sh)
    assert "1 worker not heard of" in found[f"sqlite:///{sh.folder / 'tasks.db'}"]
    assert "its lease has ended -> `taskqueue stuck list`" in found["stuck tasks"]


def test_the_doctor_sees_a_forgotten_pause(sh):
    sh("queues", "pause", "default")
    assert all(finding["well"] for finding in findings(sh, code=0))
    sh.enqueue(ADD, "a=1")
    assert "`taskqueue queues resume default` if it was forgotten" in ills(sh)["queue default"]


def test_the_doctor_sees_a_clock_that_was_set_back(sh):
    sh.enqueue(ADD, "a=1")
    sh.change("UPDATE taskqueue_entry SET created_at = created_at + 3600 * 1000000")
    assert "the newest task was made 59 min 5" in ills(sh)["clock"]


def test_the_doctor_tells_of_a_schema_that_is_too_new(sh):
    sh("init")
    sh.app.close()
    sh.change("UPDATE taskqueue_version SET version_num = '0999'")
    sh.change("UPDATE taskqueue_meta SET value = '0999' WHERE name = 'oldest_release'")
    found = ills(sh)
    assert (
        "its schema 0999 is newer than this release knows (0001); upgrade"
        in found[f"sqlite:///{sh.folder / 'tasks.db'}"]
    )


def test_the_doctor_points_at_a_problem_on_a_terminal(sh):
    sh.enqueue(ADD, "a=1")
    ran = sh.type("doctor", terminal=True)
    assert ran.code == 1
    assert "WRONG  queue default" in ran.out
    assert "1 of " in ran.out


# keeper


def test_one_round_of_the_keeper_gives_back_what_is_over(sh):
    """P3."""
    sh.enqueue(ADD, "a=1")
    held = sh.hold(lease=0.05)
    sh("keeper", "--once")
    assert sh.app.dispatcher.task_log.status(held.claim.id) is Status.ENQUEUED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_keeper_ends_by_a_signal_and_gives_the_handlers_back(sh, number):
    before = signal.getsignal(number)
    main = threading.main_thread().ident
    assert main is not None

    def send() -> None:
        eventually(lambda: signal.getsignal(number) != before, what="the keeper's handler")
        signal.pthread_kill(main, number)

    sender = threading.Thread(target=send)
    sender.start()
    ran = sh.type("keeper")
    sender.join()
    assert (ran.code, ran.out) == (0, "")
    assert "keeper ended" in ran.err
    assert signal.getsignal(number) == before
