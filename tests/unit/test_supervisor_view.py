"""The fleet as people see it."""

from __future__ import annotations

import pytest

from supervisor.fleet import Fleet
from supervisor.ladder import Rung
from supervisor.slot import Paused
from supervisor.view import View
from supervisor.wishes import Wish
from taskqueue.snapshot import Pause
from taskqueue.worker.scorecard import State
from tests.support.children import Nursery

NOW = 1000.0


@pytest.fixture
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def fleet():
    fleet = Fleet("host")
    fleet.become(
        {
            "keeper": Wish(name="keeper", kind="keeper"),
            "mail": Wish(name="mail", kind="queue", queues=("mail",)),
            "both": Wish(name="both", kind="pool", queues=("mail", "reports"), workers=0),
        }
    )
    return fleet


@pytest.fixture
def slot(fleet):
    return fleet.pools["mail"].slots[0]


def pool(fleet, name="mail", *, paused_queues=frozenset()):
    return {pool.name: pool for pool in View(fleet, NOW, paused_queues=paused_queues).pools()}[name]


def shown(fleet, name="mail"):
    (slot,) = pool(fleet, name).slots
    return slot


def test_an_empty_slot_is_down_and_says_when_it_is_started(fleet, slot):
    slot.due = NOW + 2.5
    assert (shown(fleet).state, shown(fleet).pid, shown(fleet).activity, shown(fleet).retry_in) == (
        "down",
        None,
        "",
        2.5,
    )
    slot.due = 0.0
    assert shown(fleet).retry_in == 0.0


def test_a_hopeless_one_is_never_tried_again(fleet, slot):
    slot.fatal = True
    assert (shown(fleet).state, shown(fleet).retry_in) == ("fatal", None)


@pytest.mark.parametrize(
    ("facts", "state", "activity"),
    [
        ({"state": State.BOOT}, "boot", "booting"),
        ({"state": State.IDLE}, "up", "idle"),
        ({"state": State.PAUSED}, "up", "paused"),
        ({"state": State.RUNNING, "task_id": "t"}, "up", "running"),
        ({"state": State.RUNNING, "task_id": "t", "paused": True}, "up", "running"),
        ({"state": State.STOPPING}, "up", "stopping"),
    ],
)
def test_what_a_process_does(fleet, slot, nursery, *, facts, state, activity):
    slot.seat(nursery.child(slot, **facts), successor=False)
    assert (shown(fleet).state, shown(fleet).activity) == (state, activity)


def test_the_task_that_runs_its_age_and_the_process(fleet, slot, nursery):
    child = nursery.child(
        slot, started=NOW - 60, state=State.RUNNING, task_id="t", task_name="shop:mail", since=NOW - 5, done=7, memory=3
    )
    slot.seat(child, successor=False)
    slot.restarts = 2
    seen = shown(fleet)
    assert (seen.name, seen.pid, seen.task_id, seen.task_name, seen.task_age) == (
        "host/mail/0",
        child.pid,
        "t",
        "shop:mail",
        5.0,
    )
    assert (seen.age, seen.done, seen.restarts, seen.memory, seen.retry_in) == (60.0, 7, 2, 3072, None)


def test_between_two_tasks_there_is_none(fleet, slot, nursery):
    slot.seat(nursery.child(slot, task_id="t", since=NOW - 5), successor=False)
    assert (shown(fleet).task_id, shown(fleet).task_age) == ("", None)


def test_while_it_is_rolled_a_slot_shows_both_processes(fleet, slot, nursery):
    old, new = nursery.child(slot), nursery.child(slot, state=State.BOOT)
    slot.seat(old, successor=False)
    slot.seat(new, successor=True)
    assert [(seen.pid, seen.state) for seen in pool(fleet).slots] == [(old.pid, "up"), (new.pid, "boot")]
    assert pool(fleet).up == 1


def test_a_successor_alone_is_shown(fleet, slot, nursery):
    new = nursery.child(slot, state=State.BOOT)
    slot.seat(new, successor=True)
    assert shown(fleet).pid == new.pid


def test_who_drains_is_shown_although_its_pool_has_left_the_configuration(fleet, slot, nursery):
    leaver = nursery.child(slot, state=State.RUNNING, task_id="t")
    fleet.leavers.append(leaver)
    fleet.become({name: p.wish for name, p in fleet.pools.items() if name != "mail"})
    fleet.tidy()
    seen = shown(fleet)
    assert (seen.name, seen.index, seen.state, seen.pid, seen.task_id) == (
        "host/mail/0",
        0,
        "stopping",
        leaver.pid,
        "t",
    )
    assert (pool(fleet).wanted, pool(fleet).configured) == (0, 0)


def test_who_is_ended_by_force_says_why(fleet, slot, nursery):
    child = nursery.child(slot)
    slot.seat(child, successor=False)
    child.tell(Rung.ABRT, NOW, why="it hangs")
    assert (shown(fleet).state, shown(fleet).note) == ("stopping", "it hangs")


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (0.2, "0 s"),
        (-1.0, "0 s"),
        (59.0, "59 s"),
        (60.0, "1 min"),
        (3599.0, "60 min"),
        (7200.0, "2 h"),
        (3 * 86400.0, "3 d"),
    ],
)
def test_how_the_last_process_ended_and_when(fleet, slot, ago, said):
    slot.note, slot.noted_at = "killed by SIGKILL", NOW - ago
    assert shown(fleet).note == f"killed by SIGKILL {said} ago"


def test_each_pause_is_shown_with_who_it_was(fleet, slot, nursery):
    fleet.pools["mail"].paused = Paused("ann (uid 1000)", 7.0)
    slot.paused = Paused("bob (uid 1001)", 8.0)
    slot.seat(nursery.child(slot, paused=True), successor=False)
    seen = pool(fleet, paused_queues=frozenset({"mail", "other"}))
    assert seen.paused == (
        Pause(scope="pool", by="ann (uid 1000)", since=7.0),
        Pause(scope="queue", by="the database (mail)"),
    )
    assert seen.slots[0].paused == (
        Pause(scope="slot", by="bob (uid 1001)", since=8.0),
        Pause(scope="slot", by="signal"),
    )


def test_a_worker_is_shown_as_paused_once_it_says_so(fleet, slot, nursery):
    """Before that it may still start a task, whatever is wanted of it."""
    fleet.paused = Paused("signal", 1.0)
    child = nursery.child(slot)
    slot.seat(child, successor=False)
    assert shown(fleet).activity == "idle"
    child.row.scorecard.update(state=State.PAUSED)
    assert shown(fleet).activity == "paused"


def test_a_count_by_hand_is_shown_beside_the_files(fleet):
    fleet.pools["mail"].scale(3)
    seen = pool(fleet)
    assert (seen.wanted, seen.configured, seen.scaled, len(seen.slots)) == (3, 1, True, 3)
