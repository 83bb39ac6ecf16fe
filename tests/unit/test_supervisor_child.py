"""The master's handle of one process, and what the keeper hears of its end. Real processes where signals matter."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal

import pytest

from supervisor.ladder import Rung, Standing
from supervisor.scoreboard import GRAVES
from supervisor.undertaker import Undertaker
from supervisor.verdict import Exit, Kind, Verdict, judge
from taskqueue.worker.deaths import Death
from taskqueue.worker.scorecard import State
from tests.support.children import Nursery

DIED = Verdict(Kind.FAILED, "killed by SIGSEGV", blamed=True)


@pytest.fixture
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def sleeper():
    """A process that leads a group of its own, and waits."""
    read, write = os.pipe()
    if not (pid := os.fork()):
        os.setpgid(0, 0)
        faulthandler.disable()
        os.write(write, b"!")
        while True:
            signal.pause()
    os.read(read, 1)
    os.close(read), os.close(write)
    yield pid
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # the test has ended it


# What it is told


@pytest.mark.parametrize(
    ("rung", "number"), [(Rung.TERM, signal.SIGTERM), (Rung.ABRT, signal.SIGABRT), (Rung.KILL, signal.SIGKILL)]
)
def test_a_rung_is_a_signal(nursery, sleeper, rung, number):
    child = nursery.child(pid=sleeper)
    child.tell(rung, 5.0, until=9.0)
    assert child.standing == Standing(rung, 5.0, 9.0)
    assert os.WTERMSIG(os.waitpid(sleeper, 0)[1]) == number


def test_telling_one_that_is_gone_harms_nobody(nursery):
    child = nursery.child()
    for rung in (Rung.TERM, Rung.NOW, Rung.ABRT, Rung.KILL):
        child.tell(rung, 1.0)
    child.pause_by_signal(paused=True)
    assert child.standing.rung is Rung.KILL


def test_what_was_wrong_first_is_what_is_said(nursery):
    child = nursery.child()
    child.tell(Rung.ABRT, 1.0, why="it hangs")
    child.tell(Rung.KILL, 2.0)
    assert child.why == "it hangs"


def test_a_stop_hurries_and_never_slows_down(nursery):
    child = nursery.child()
    child.tell(Rung.TERM, 1.0)
    child.hurry(30.0)
    child.hurry(50.0)
    assert child.standing == Standing(Rung.TERM, 1.0, 30.0)


# What it says


def test_a_child_is_up_once_it_has_begun(nursery):
    child = nursery.child(state=State.BOOT)
    assert not child.up
    child.row.scorecard.update(state=State.IDLE)
    assert child.up


def test_the_plan_hears_what_its_scorecard_says(nursery):
    child = nursery.child(deadline=4.0, lease_end=5.0)
    child.boot_by = 3.0
    facts = child.facts()
    assert (facts.up, facts.boot_by, facts.deadline, facts.lease_end) == (True, 3.0, 4.0, 5.0)
    assert not facts.told


def test_of_a_torn_scorecard_the_last_word_holds(nursery):
    child = nursery.child(task_id="before", state=State.RUNNING)
    assert child.card.task_id == "before"
    assert not child.torn
    nursery.board.memory[0] ^= 0xFF
    assert child.card.task_id == "before"
    assert child.torn


# The life pipe


def test_a_change_of_what_is_wanted_wakes_it_once(nursery):
    child = nursery.child()
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.dup2(write, child.fds[0])
    child.pause(True)
    child.pause(True)
    assert child.row.paused
    assert os.read(read, 99) == b"\0"
    child.pause(False)
    assert os.read(read, 99) == b"\0"
    os.close(read), os.close(write)


def test_a_pipe_that_is_full_or_has_no_reader_is_no_error(nursery):
    child = nursery.child()
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.dup2(write, child.fds[0])
    for _ in range(70_000):
        child.wake()
    os.close(read), os.close(write)
    child.wake()


# What the keeper hears


@pytest.fixture
def undertaker(nursery):
    return Undertaker(nursery.board.deaths)


def buried(nursery) -> list[Death]:
    return list(nursery.board.deaths.find())


def test_the_task_that_died_with_its_worker_is_named_with_the_cause(nursery, undertaker):
    child = nursery.child(incarnation="i", state=State.RUNNING, task_id="t")
    os.write(child.fds[1], b'Current thread 0x1 (most recent call first):\n  File "x.py", line 3 in f\n')
    assert undertaker.bury(child, DIED)
    (death,) = buried(nursery)
    assert (death.incarnation, death.slot) == ("i", "host/mail/0")
    assert death.running["t"].splitlines() == [
        f"killed by SIGSEGV (worker host/mail/0, pid {child.pid})",
        "Current thread 0x1 (most recent call first):",
        '  File "x.py", line 3 in f',
    ]


@pytest.mark.parametrize(
    ("facts", "rung", "said"),
    [
        ({"deadline": 90.0}, Rung.NONE, "at its time limit"),
        ({"deadline": 110.0}, Rung.NONE, "at the end of its lease"),
        ({}, Rung.NONE, "at the end of its lease"),
        ({"deadline": 90.0}, Rung.TERM, "at its time limit"),
        ({"deadline": 90.0}, Rung.NOW, ""),
        ({"deadline": 90.0, "leaving": True}, Rung.NONE, ""),
    ],
    ids=["time limit", "lease", "no time limit", "while it drained", "we told it to go now", "somebody told it twice"],
)
def test_a_worker_that_ended_itself_by_its_timer_says_so_unless_that_was_ordered(nursery, facts, rung, said):
    """P4, P10: the same timer in C ends who hangs and who has to go now and cannot."""
    child = nursery.child(incarnation="i", state=State.RUNNING, task_id="t", **facts)
    if rung:
        child.tell(rung, 99.0)
    assert child.overdue(100.0) == ""
    os.write(child.fds[1], b"Timeout (0:00:05)!\nThread 0x1:\n")
    assert said in child.overdue(100.0)
    assert bool(child.overdue(100.0)) is bool(said)
    verdict = judge(Exit(code=1), child.card, told=rung, why=child.overdue(100.0))
    assert verdict.blamed is bool(said)


@pytest.mark.parametrize(
    ("verdict", "task"),
    [(DIED, ""), (Verdict(Kind.LEFT, "killed by SIGKILL"), "t"), (Verdict(Kind.FAILED, "exit code 1"), "t")],
    ids=["none ran", "we ended it", "it left already"],
)
def test_where_no_task_is_to_blame_what_it_held_is_given_back_all_the_same(nursery, undertaker, verdict, task):
    """P4."""
    assert undertaker.bury(nursery.child(incarnation="i", task_id=task), verdict)
    assert buried(nursery) == [Death(incarnation="i", slot="host/mail/0", running={})]


def test_who_held_nothing_is_nothing_to_the_keeper(nursery, undertaker):
    """It had not begun, or has given everything back."""
    assert not undertaker.bury(nursery.child(state=State.BOOT), DIED)
    assert not undertaker.bury(nursery.child(state=State.STOPPING, leaving=True), Verdict(Kind.LEFT, "exit code 0"))
    assert undertaker.done


def test_of_a_scorecard_that_was_cut_short_nobody_can_tell_which_task_ran(nursery, undertaker):
    child = nursery.child(incarnation="i", task_id="before", state=State.RUNNING)
    assert child.card.task_id == "before"
    nursery.board.memory[0] ^= 0xFF
    assert undertaker.bury(child, DIED)
    assert buried(nursery) == [Death(incarnation="i", slot="host/mail/0", running=None)]


def test_of_one_that_was_never_readable_there_is_a_record_too(nursery, undertaker):
    child = nursery.child(incarnation="i")
    nursery.board.memory[0] ^= 0xFF
    assert undertaker.bury(child, DIED)
    assert buried(nursery) == [Death(incarnation="", slot="host/mail/0")]


def test_deaths_for_which_there_is_no_room_wait_in_their_order(nursery, undertaker):
    for n in range(GRAVES + 2):
        child = nursery.child(incarnation=f"i{n}")
        undertaker.bury(child, DIED)
        nursery.board.give_back(child.row)
    found = buried(nursery)
    assert len(found) == GRAVES
    assert not undertaker.done
    for death in found[:2]:
        nursery.board.deaths.bury(death)
    undertaker.record()
    assert {death.incarnation for death in buried(nursery)} == {f"i{n}" for n in range(2, GRAVES + 2)}
    for death in buried(nursery):
        nursery.board.deaths.bury(death)
    assert undertaker.done


@pytest.mark.parametrize(
    ("verdict", "level", "said"),
    [
        (DIED, logging.ERROR, "worker died: killed by SIGSEGV"),
        (Verdict(Kind.CANNOT, "exit code 78"), logging.CRITICAL, "worker cannot start: exit code 78"),
        (Verdict(Kind.LEFT, "exit code 0"), logging.INFO, "worker left: exit code 0"),
        (Verdict(Kind.RECYCLED, "exit code 75"), logging.INFO, "worker left: exit code 75"),
    ],
)
def test_every_end_stands_in_the_log(nursery, undertaker, caplog, *, verdict, level, said):
    with caplog.at_level(logging.INFO):
        undertaker.bury(nursery.child(incarnation="i"), verdict)
    assert (caplog.records[0].levelno, caplog.records[0].getMessage()) == (level, said)
    assert caplog.records[0].slot == "host/mail/0"
