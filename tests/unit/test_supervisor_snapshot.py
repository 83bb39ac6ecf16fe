"""What `status` answers: plain values, which programs read as JSON."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from supervisor.cli.asking import Unanswered
from supervisor.cli.status import snapshot_of
from taskqueue.snapshot import Pause, Snapshot
from tests.support.pretender import made_up, pool, slot


def test_a_host_on_which_every_worker_is_ready_is_fine():
    assert not made_up().degraded
    assert not made_up(pools=()).degraded
    assert not made_up(paused=(Pause(scope="host", by="signal"),)).degraded


@pytest.mark.parametrize("state", ["down", "boot", "stopping", "fatal"])
def test_a_worker_that_should_be_ready_and_is_not_degrades_it(state):
    assert made_up(pools=(pool("mail", slot("mail", 0), slot("mail", 1, state)),)).degraded


def test_a_worker_that_leaves_as_it_should_does_not_degrade_it():
    scaled = pool("mail", slot("mail", 0), slot("mail", 1, "stopping"), wanted=1)
    assert not made_up(pools=(scaled,)).degraded


def test_a_worker_for_which_there_is_no_place_yet_degrades_it():
    assert made_up(pools=(pool("mail", slot("mail", 0), wanted=2),)).degraded


def test_a_problem_degrades_it():
    assert made_up(problems=("reload refused",)).degraded


def test_it_travels_as_json_and_comes_back_the_same():
    there = made_up(paused=(Pause(scope="host", by="ann (uid 1000)", since=1.5),))
    assert msgspec.json.decode(msgspec.json.encode(there), type=Snapshot) == there


def test_what_a_newer_release_adds_is_no_hindrance():
    plain = msgspec.to_builtins(made_up()) | {"weather": "fine"}
    assert msgspec.convert(plain, Snapshot) == made_up()


def test_what_another_release_says_otherwise_is_no_half_answer():
    plain = msgspec.to_builtins(made_up())
    for answer in ({}, {"snapshot": None}, {"snapshot": plain | {"state": "dreaming"}}):
        with pytest.raises(Unanswered, match="the supervisor is of another release and answers otherwise"):
            snapshot_of(answer)
    assert snapshot_of({"snapshot": plain}) == made_up()


def test_a_worker_is_named_as_commands_name_it():
    (first, *_) = made_up().slots
    assert (first.label, replace(first, pool="a b", index=3).label) == ("mail/0", "a b/3")
