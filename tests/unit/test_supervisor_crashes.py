"""What the master counts."""

from __future__ import annotations

import mmap
from types import SimpleNamespace

import pytest

from supervisor.child import ABOUT_A_LEASE, ABOUT_A_TASK
from supervisor.crashes import OTHER, Crash, Crashes, crashes
from supervisor.plan import HELD_ON, NO_SIGN, NO_START
from supervisor.verdict import Exit, Kind, Verdict
from taskqueue.worker.block import CAPACITY, SIZE, Block


@pytest.fixture
def block():
    return Block(mmap.mmap(-1, SIZE))


def child(pool="mail", task="shop:mail", *, torn=False):
    return SimpleNamespace(pool=pool, card=SimpleNamespace(task_name=task), torn=torn)


@pytest.mark.parametrize(
    ("end", "cause", "label"),
    [
        (Exit(signal=11), "killed by SIGSEGV", "SIGSEGV"),
        (Exit(signal=200), "killed by signal 200", "signal_200"),
        (Exit(code=1), "exit code 1", "exit_1"),
        (Exit(code=1), ABOUT_A_TASK, "time_limit"),
        (Exit(code=1), ABOUT_A_LEASE, "lease"),
        (Exit(signal=9), HELD_ON, "lease"),
        (Exit(signal=6), NO_SIGN, "hung"),
        (Exit(signal=6), NO_START, "boot_timeout"),
    ],
)
def test_a_crash_counts_by_what_ended_the_process(block, end, cause, label):
    Crashes(block).count(child(), Verdict(Kind.FAILED, cause, blamed=True), end)
    assert crashes(block) == {Crash("mail", "shop:mail", label): 1}


def test_a_task_is_named_only_if_it_is_to_blame_and_known(block):
    counted = Crashes(block)
    counted.count(child(), Verdict(Kind.FAILED, "exit code 1"), Exit(code=1))
    counted.count(child(torn=True), Verdict(Kind.FAILED, "exit code 1", blamed=True), Exit(code=1))
    counted.count(SimpleNamespace(pool="mail", card=None), Verdict(Kind.FAILED, "exit code 1"), Exit(code=1))
    assert crashes(block) == {Crash("mail", "", "exit_1"): 3}


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.FAILED])
def test_an_end_in_good_order_is_no_crash(block, kind):
    Crashes(block).count(child(), Verdict(kind, "exit code 0"), Exit(code=0))
    assert crashes(block) == {}


def test_what_has_no_room_goes_together(block):
    counted = Crashes(block)
    for number in range(500):
        for _ in range(1 + (number == 7)):
            counted.count(child(task=f"{number}-{'t' * 50}"), Verdict(Kind.FAILED, "", blamed=True), Exit(signal=9))
    assert len(block.read()) <= CAPACITY
    found = crashes(block)
    assert sum(found.values()) == 501
    assert found[Crash("mail", f"7-{'t' * 50}", "SIGKILL")] == 2
    assert found[Crash("mail", OTHER, "SIGKILL")] > 100


def test_pools_that_have_no_room_go_together_too(block):
    counted = Crashes(block)
    for number in range(200):
        counted.count(child(pool=f"{number}-{'p' * 200}", task=""), Verdict(Kind.FAILED, ""), Exit(signal=9))
    found = crashes(block)
    assert len(block.read()) <= CAPACITY
    assert sum(found.values()) == 200
    assert found[Crash(OTHER, OTHER, OTHER)] > 50


def test_a_block_that_cannot_be_read_says_nothing(block):
    assert crashes(block) == {}
    block.write(b"\xc1")
    assert crashes(block) == {}
