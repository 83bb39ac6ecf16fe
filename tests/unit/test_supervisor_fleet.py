"""The books of a fleet: what is wanted of each slot, and what its processes leave behind for the next one."""

from __future__ import annotations

import os
import signal
from random import Random

import pytest

from supervisor.backoff import FLOOR, HEALTHY
from supervisor.fleet import Fleet, UnknownTarget
from supervisor.slot import Paused
from supervisor.verdict import Kind, Verdict
from supervisor.wishes import wishes
from taskqueue.settings import parse
from tests.support.children import Nursery
from tests.support.eventually import eventually

ANN = Paused("ann", 1.0)
DIED = Verdict(Kind.FAILED, "exit code 1", blamed=True)


@pytest.fixture
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def fleet():
    fleet = Fleet("host")
    fleet.become(wishes_of())
    return fleet


def config(mail: int = 2, *, reports: int | None = 1, more: str = ""):
    text = f"""
        [brokers.main]
        url = "sqlite:///tasks.db"
        [queues.default]
        workers = 0
        [queues.mail]
        workers = {mail}
        {more}
    """
    return parse(text + (f"[queues.reports]\nworkers = {reports}\n" if reports is not None else ""))


def wishes_of(mail: int = 2, *, reports: int | None = 1, more: str = ""):
    return wishes(config(mail, reports=reports, more=more))


def seat(nursery, slot, *, successor=False, **facts):
    child = nursery.child(slot, **facts)
    slot.seat(child, successor=successor)
    return child


def end(fleet, child, verdict=DIED, *, now=100.0):
    fleet.remember(child, verdict, now, Random(1))


def wanted(fleet, *, stopping=False, keeping=False):
    return {facts.key.name for facts in fleet.facts(stopping=stopping, keeping=keeping) if facts.wanted}


# What is wanted


def test_slots_have_names_of_their_own(fleet):
    assert wanted(fleet) == {"host/keeper/0", "host/mail/0", "host/mail/1", "host/reports/0"}


def test_a_reload_moves_only_the_difference(fleet):
    before = fleet.pools["mail"].slots[0]
    fleet.become(wishes_of(3))
    assert wanted(fleet) == {"host/keeper/0", *(f"host/mail/{n}" for n in range(3)), "host/reports/0"}
    assert fleet.pools["mail"].slots[0] is before
    assert {slot.generation for slot in fleet.slots} == {0}


def test_a_pool_that_is_gone_drains(fleet, nursery):
    child = seat(nursery, fleet.pools["reports"].slots[0], pool="reports")
    fleet.become(wishes_of(reports=None))
    fleet.tidy()
    assert "host/reports/0" not in wanted(fleet)
    assert "reports" in fleet.pools

    fleet.pools["reports"].slots[0].lose(child)
    fleet.leavers.append(child)
    fleet.tidy()
    assert "reports" in fleet.pools, "people must see who drains"

    end(fleet, child)
    fleet.tidy()
    assert "reports" not in fleet.pools


def test_a_pool_that_comes_back_while_it_drains_is_there_again(fleet, nursery):
    fleet.leavers.append(nursery.child(pool="reports"))
    fleet.become(wishes_of(reports=None))
    fleet.tidy()
    fleet.become(wishes_of(reports=2))
    assert {"host/reports/0", "host/reports/1"} <= wanted(fleet)
    assert not fleet.pools["reports"].gone


def test_a_pool_of_no_workers_stays_and_can_be_scaled():
    fleet = Fleet("host")
    fleet.become(wishes_of(more='[pools.both]\nqueues = ["mail", "reports"]\nworkers = 0\n'))
    fleet.tidy()
    fleet.pools["both"].scale(1)
    assert "host/both/0" in wanted(fleet)


@pytest.mark.parametrize(("file", "expected", "scaled"), [(2, 5, True), (4, 4, False), (5, 5, False)])
def test_a_count_by_hand_stays_until_the_files_own_changes(fleet, file, expected, scaled):
    pool = fleet.pools["mail"]
    pool.scale(5)
    assert pool.scaled
    fleet.become(wishes_of(file))
    assert (pool.wanted, pool.scaled) == (expected, scaled)


def test_the_files_count_by_hand_is_no_count_by_hand(fleet):
    fleet.pools["mail"].scale(5)
    fleet.pools["mail"].scale(2)
    assert not fleet.pools["mail"].scaled


def test_who_is_scaled_away_keeps_its_slot_until_it_is_gone(fleet, nursery):
    pool = fleet.pools["mail"]
    child = seat(nursery, pool.slots[1])
    pool.scale(1)
    fleet.tidy()
    assert list(pool.slots) == [0, 1]
    assert "host/mail/1" not in wanted(fleet)
    end(fleet, child)
    fleet.tidy()
    assert list(pool.slots) == [0]


def test_a_new_option_renews_the_pool_and_a_new_count_does_not(fleet):
    fleet.become(wishes_of(more="lease = 60\n"))
    assert {name: {slot.generation for slot in pool.slots.values()} for name, pool in fleet.pools.items()} == {
        "keeper": {1},
        "mail": {1},
        "reports": {0},
    }


def test_a_slot_that_is_added_later_is_of_its_pools_generation(fleet):
    fleet.pools["mail"].renew()
    fleet.pools["mail"].scale(3)
    assert {slot.generation for slot in fleet.pools["mail"].slots.values()} == {1}


def test_on_a_stop_the_keeper_is_the_last(fleet, nursery):
    worker = seat(nursery, fleet.pools["mail"].slots[0])
    seat(nursery, fleet.pools["keeper"].slots[0])
    assert fleet.working
    fleet.pools["mail"].slots[0].lose(worker)
    fleet.leavers.append(worker)
    assert fleet.working, "while a worker drains"
    assert wanted(fleet, stopping=True, keeping=True) == {"host/keeper/0"}
    end(fleet, worker)
    assert not fleet.working
    assert wanted(fleet, stopping=True) == set()


# What an end leaves behind


def test_one_death_is_followed_at_once_the_next_ones_later(fleet, nursery):
    slot = fleet.pools["mail"].slots[0]
    waits = []
    for now in (100.0, 101.0, 110.0, 120.0):
        end(fleet, seat(nursery, slot, started=now - 1), now=now)
        waits.append(slot.due - now)
    assert waits[0] == 0
    assert waits[1:] == pytest.approx([1, 2, 4], rel=0.25)
    assert slot.restarts == 4
    assert slot.note == "exit code 1"
    assert slot.current is None


@pytest.mark.parametrize("health", [{"started": 200.0 - HEALTHY}, {"started": 199.9, "done": 1}])
def test_failures_are_forgotten_once_a_process_was_healthy(fleet, nursery, health):
    slot = fleet.pools["mail"].slots[0]
    slot.failures = 7
    end(fleet, seat(nursery, slot, **health), now=200.0)
    assert slot.failures == 1
    assert slot.due <= 200.0 + FLOOR


@pytest.mark.parametrize("kind", [Kind.LEFT, Kind.RECYCLED])
def test_who_leaves_in_good_order_is_followed_at_once_but_for_a_floor(fleet, nursery, kind):
    slot = fleet.pools["mail"].slots[0]
    end(fleet, seat(nursery, slot, started=100.0), Verdict(kind, "exit code 0"), now=100.1)
    assert slot.due == 100.0 + FLOOR
    end(fleet, seat(nursery, slot, started=100.0), Verdict(kind, "exit code 0"), now=170.0)
    assert slot.due == 170.0
    assert (slot.failures, slot.restarts) == (0, 0)


def test_what_cannot_start_is_hopeless_until_it_is_renewed(fleet, nursery):
    pool = fleet.pools["reports"]
    end(fleet, seat(nursery, pool.slots[0]), Verdict(Kind.CANNOT, "exit code 78"))
    assert pool.hopeless
    assert not fleet.pools["mail"].hopeless
    pool.renew()
    assert not pool.hopeless


def test_a_pool_with_somebody_at_work_is_not_hopeless(fleet, nursery):
    slot = fleet.pools["reports"].slots[0]
    seat(nursery, slot)
    end(fleet, seat(nursery, slot, successor=True), Verdict(Kind.CANNOT, "exit code 78"))
    assert slot.fatal
    assert not fleet.pools["reports"].hopeless


def test_the_end_of_a_successor_takes_nothing_from_the_slots_process(fleet, nursery):
    slot = fleet.pools["mail"].slots[0]
    current = seat(nursery, slot)
    end(fleet, seat(nursery, slot, successor=True, started=99.0))
    assert slot.children == [current]
    assert slot.failures == 1


def test_the_end_of_one_that_left_its_slot_is_nothing_to_the_slot(fleet, nursery):
    slot = fleet.pools["mail"].slots[0]
    leaver = seat(nursery, slot)
    slot.lose(leaver)
    fleet.leavers.append(leaver)
    end(fleet, leaver)
    assert (fleet.leavers, slot.failures, slot.restarts, slot.due) == ([], 0, 0, 0.0)


def test_a_pause_by_signal_holds_for_the_next_process_though_nobody_had_looked_yet(fleet, nursery):
    """P6: it survives respawn; a kill may come at once behind it."""
    slot = fleet.pools["mail"].slots[0]
    end(fleet, seat(nursery, slot, paused=True))
    assert slot.paused_by_signal
    end(fleet, seat(nursery, slot, paused=False))
    assert not slot.paused_by_signal


def test_a_successors_end_says_nothing_of_the_slots_pause(fleet, nursery):
    slot = fleet.pools["mail"].slots[0]
    seat(nursery, slot, paused=True)
    slot.paused_by_signal = True
    end(fleet, seat(nursery, slot, successor=True, paused=False))
    assert slot.paused_by_signal


@pytest.mark.parametrize("paused", [True, False])
def test_a_successor_takes_over_what_a_signal_said_to_the_old_one_meanwhile(fleet, nursery, paused):
    number = signal.SIGUSR2 if paused else signal.SIGCONT
    heard: list[int] = []
    before = signal.signal(number, lambda number, _: heard.append(number))
    try:
        slot = fleet.pools["mail"].slots[0]
        seat(nursery, slot, paused=paused)
        slot.paused_by_signal = paused
        seat(nursery, slot, successor=True, paused=not paused, pid=os.getpid())
        slot.promote()
        eventually(lambda: heard == [number])
    finally:
        signal.signal(number, before)


def test_a_successor_takes_over(fleet, nursery):
    slot = fleet.pools["mail"].slots[0]
    old, new = seat(nursery, slot), seat(nursery, slot, successor=True)
    assert slot.promote() is old
    assert (slot.current, slot.successor) == (new, None)


# Who is meant


@pytest.mark.parametrize("name", ["mail", "reports", "keeper"])
def test_a_pool_is_found_by_its_name(fleet, name):
    assert fleet.target(name) is fleet.pools[name]


def test_a_slot_is_found_by_its_pool_and_number(fleet):
    assert fleet.target("mail/1") is fleet.pools["mail"].slots[1]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "mail/",
        "mail/2",
        "mail/-1",
        "mail/01",
        "mail/\N{ARABIC-INDIC DIGIT ONE}",
        "mail/1/",
        "/1",
        "mail/" + "9" * 5000,
        "MAIL",
    ],
)
def test_what_is_neither_is_refused(fleet, name):
    with pytest.raises(UnknownTarget, match="no pool or slot") as error:
        fleet.target(name)
    assert len(str(error.value)) < 400


def test_the_nearest_name_is_offered(fleet):
    with pytest.raises(UnknownTarget, match=r"no pool or slot 'mial', did you mean 'mail'\?"):
        fleet.target("mial")
    with pytest.raises(UnknownTarget, match="no pool or slot 'x'; there are keeper, mail, reports"):
        fleet.target("x")


def test_a_queue_of_a_pool_is_told_as_what_it_is():
    fleet = Fleet("host")
    fleet.become(wishes_of(more='[pools.mixed]\nqueues = ["default"]'))
    with pytest.raises(UnknownTarget, match="'default' is a queue, and its workers are the pool 'mixed'"):
        fleet.target("default")


def test_host_pool_and_slot_are_paused_each_on_its_own(fleet):
    here, there = fleet.pools["mail"].slots[0], fleet.pools["mail"].slots[1]
    assert not fleet.is_paused(here)
    for paused in (fleet, fleet.pools["mail"], here):
        paused.paused = ANN
        assert fleet.is_paused(here)
        assert fleet.is_paused(there) is (paused is not here)
        paused.paused = None
    assert not fleet.is_paused(here)


def test_the_keeper_is_never_paused(fleet):
    fleet.paused = fleet.pools["keeper"].paused = fleet.pools["keeper"].slots[0].paused = ANN
    assert not fleet.is_paused(fleet.pools["keeper"].slots[0])


# What the file asks for


def test_queues_without_workers_and_in_memory_need_none():
    text = """
        [brokers.main]
        url = "sqlite:///tasks.db"
        [brokers.here]
        url = "memory://"
        [task_log]
        url = "sqlite:///tasks.db"
        [queues.default]
        broker = "main"
        workers = 0
        [queues.mail]
        [queues.now]
        broker = "here"
        workers = 3
    """
    assert {name: wish.workers for name, wish in wishes(parse(text)).items()} == {"keeper": 1, "mail": 1}


def test_a_queue_may_be_called_keeper():
    found = wishes(config(more="[queues.keeper]\n[queues._keeper]\n"))
    assert [name for name, wish in found.items() if wish.kind == "keeper"] == ["__keeper"]
    assert found["keeper"].queues == ("keeper",)


@pytest.mark.parametrize(
    ("change", "renewed"),
    [
        ("", set()),
        ("weight = 7\n", {"keeper", "mail"}),
        ("max_crashes = 9\n", {"keeper", "mail"}),
        ("max_tasks = 9\n", {"keeper", "mail"}),
        ("priority = 1\n", {"keeper", "mail", "reports"}),
        ('[logging]\nlevel = "debug"\n', {"keeper", "mail", "reports"}),
        ('[app]\nmodules = ["other"]\n', {"keeper", "mail", "reports"}),
        ("[supervisor]\ngrace = 5\n", set()),
        ("[queues.new]\nworkers = 0\n", {"keeper", "mail", "reports"}),
    ],
)
def test_whom_a_change_of_the_file_concerns(change, renewed):
    before, after = wishes_of(), wishes_of(more=change)
    assert {name for name in before if before[name].basis != after[name].basis} == renewed


def test_counts_concern_nobody():
    before, after = wishes_of(), wishes_of(7, reports=3)
    assert all(before[name].basis == after[name].basis for name in before)
