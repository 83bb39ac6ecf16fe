"""The plan as a table: what is there, what is wanted, and the time -> what is to be done."""

from __future__ import annotations

import pytest

from supervisor.ladder import AFTER_ABRT, AFTER_NOW, BETWEEN_TERMS, Rung, Standing
from supervisor.plan import (
    INFINITE,
    PAST_DEADLINE,
    PAST_LEASE,
    Dismiss,
    ProcessFacts,
    Promote,
    Push,
    SlotFacts,
    Start,
    due,
    plan,
)

NOW = 1000.0
#: generations
OLD, NEW = 1, 2


def process(pid: int = 1, **facts) -> ProcessFacts:
    """One that is up."""
    return ProcessFacts(**{"pid": pid, "pool": "mail", "generation": NEW, "up": True, "boot_by": NOW - 50} | facts)


def boots(pid: int = 1, **facts) -> ProcessFacts:
    return process(pid, **{"up": False, "boot_by": NOW + 5} | facts)


def old(pid: int = 1, **facts) -> ProcessFacts:
    return process(pid, generation=OLD, **facts)


def told(rung: Rung, *, since: float = NOW, until: float = INFINITE, pid: int = 1, **facts) -> ProcessFacts:
    return process(pid, standing=Standing(rung, since, until), **facts)


def slot(key: str = "a", **facts) -> SlotFacts:
    return SlotFacts(**{"key": key, "pool": "mail", "generation": NEW} | facts)


HANGS = "it gave no sign of life past its deadline"
LATE = "it did not start in time ([supervisor] boot_timeout)"
OVERDUE = "it held a task past the end of its lease"

TABLE = [
    # Slots that are wanted have a process; others have none.
    ("an empty slot is filled", [slot()], [], [Start("a")]),
    ("before its time it is not", [slot(due=NOW + 0.1)], [], []),
    ("at its time it is", [slot(due=NOW)], [], [Start("a")]),
    ("what is hopeless is not tried again", [slot(fatal=True)], [], []),
    ("a slot with a process that is up is content", [slot(current=process())], [], []),
    ("one that boots has its time", [slot(current=boots())], [], []),
    ("an empty slot that nobody wants stays empty", [slot(wanted=False)], [], []),
    ("whom nobody wants is told to go", [slot(wanted=False, current=process())], [], [Dismiss("a", 1)]),
    ("one that boots, too", [slot(wanted=False, current=boots())], [], [Dismiss("a", 1)]),
    (
        "and its successor",
        [slot(wanted=False, current=old(), successor=boots(2))],
        [],
        [Dismiss("a", 1), Dismiss("a", 2)],
    ),
    ("one that is told already is not told again", [slot(wanted=False, current=told(Rung.ABRT))], [], []),
    ("each slot by itself", [slot("a"), slot("b", due=NOW + 1), slot("c")], [], [Start("a"), Start("c")]),
    ("one that has to be ended keeps its place until it is gone", [slot(current=told(Rung.ABRT))], [], []),
    # A process of an old generation is replaced by one that is up before the old is told to go.
    ("an old one gets a successor", [slot(current=old())], [], [Start("a", successor=True)]),
    ("while that boots, both are there", [slot(current=old(), successor=boots(2))], [], []),
    ("once it is up it takes over", [slot(current=old(), successor=process(2))], [], [Promote("a")]),
    (
        "one that came up after it was told to go does not",
        [slot(current=old(), successor=told(Rung.ABRT, pid=2))],
        [],
        [],
    ),
    ("it takes over although it boots, where nobody is left", [slot(successor=boots(2))], [], [Promote("a")]),
    ("an old one that boots comes up first", [slot(current=boots(generation=OLD))], [], []),
    ("an old one in a hopeless slot goes on", [slot(current=old(), fatal=True)], [], []),
    ("after a failed successor the next waits for its time", [slot(current=old(), due=NOW + 1)], [], []),
    (
        "of a few, one at a time",
        [slot(key, current=old(n)) for n, key in enumerate("abc")],
        [],
        [Start("a", successor=True)],
    ),
    (
        "of eight, two at a time",
        [slot(key, current=old(n)) for n, key in enumerate("abcdefgh")],
        [],
        [Start("a", successor=True), Start("b", successor=True)],
    ),
    (
        "one that boots beside its slot is counted",
        [slot("a", current=old(1), successor=boots(2)), slot("b", current=old(3))],
        [],
        [],
    ),
    ("one that drains is counted", [slot("a", current=old(1))], [told(Rung.TERM, pid=9)], []),
    (
        "one that is about to be sent away is counted",
        [slot("a", current=old(1)), slot("b", current=process(2), wanted=False)],
        [],
        [Dismiss("b", 2)],
    ),
    (
        "but not another pool's",
        [slot("a", current=old(1))],
        [told(Rung.TERM, pid=9, pool="other")],
        [Start("a", successor=True)],
    ),
    (
        "each pool has its own measure",
        [slot("a", current=old(1)), slot("b", pool="other", current=old(2, pool="other"))],
        [],
        [Start("a", successor=True), Start("b", successor=True)],
    ),
    # Who does not start in time, or says nothing past its deadline, is ended by force.
    ("who does not start in time", [slot(current=boots(boot_by=NOW))], [], [Push(1, Rung.ABRT, LATE)]),
    (
        "a successor that does not",
        [slot(current=old(), successor=boots(2, boot_by=NOW))],
        [],
        [Push(2, Rung.ABRT, LATE)],
    ),
    (
        "a deadline that was just missed is the worker's own to see to",
        [slot(current=process(deadline=NOW - 5))],
        [],
        [],
    ),
    ("who hangs", [slot(current=process(deadline=NOW - PAST_DEADLINE))], [], [Push(1, Rung.ABRT, HANGS)]),
    ("without a deadline nobody hangs", [slot(current=process(deadline=0.0))], [], []),
    (
        "who holds a lease that is over",
        [slot(current=process(lease_end=NOW - PAST_LEASE))],
        [],
        [Push(1, Rung.ABRT, OVERDUE)],
    ),
    ("a lease that ended a moment ago", [slot(current=process(lease_end=NOW - 1))], [], []),
    (
        "who hangs and is not wanted is told once, and then ended",
        [slot(wanted=False, current=process(deadline=NOW - 60))],
        [],
        [Dismiss("a", 1), Push(1, Rung.ABRT, HANGS)],
    ),
    # Who was told to go and does not.
    ("without hurry there is time without end", [], [told(Rung.TERM, since=NOW - 1e6)], []),
    ("within the patience of a stop", [], [told(Rung.TERM, since=NOW - 9, until=NOW + 1)], []),
    ("past it", [], [told(Rung.TERM, since=NOW - 9, until=NOW)], [Push(1, Rung.NOW)]),
    ("two TERMs do not come so close that they are taken for one", [], [told(Rung.TERM, until=NOW)], []),
    ("who does not leave now", [], [told(Rung.NOW, since=NOW - AFTER_NOW)], [Push(1, Rung.ABRT)]),
    ("who has shown its stacks", [], [told(Rung.ABRT, since=NOW - AFTER_ABRT)], [Push(1, Rung.KILL)]),
    ("whom even KILL does not end", [], [told(Rung.KILL, since=NOW - 1e6)], []),
    ("in its slot as well", [slot(current=told(Rung.ABRT, since=NOW - AFTER_ABRT))], [], [Push(1, Rung.KILL)]),
    ("who drains without hurry and hangs", [], [told(Rung.TERM, deadline=NOW - 60)], [Push(1, Rung.ABRT, HANGS)]),
    ("who drains past the end of its lease", [], [told(Rung.TERM, lease_end=NOW - 60)], [Push(1, Rung.ABRT, OVERDUE)]),
    ("who hangs and must go now goes on down the ladder", [], [told(Rung.NOW, deadline=NOW - 60)], []),
]


@pytest.mark.parametrize(("slots", "leavers", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_plan(slots, leavers, expected):
    assert list(plan(slots, leavers, now=NOW)) == expected


# A host that was frozen: nobody is late, but for leases (R3).

FROZEN = [
    ("who boots has its time again", [slot(current=boots(boot_by=NOW - 9))], [], []),
    ("who hangs may only have been frozen", [slot(current=process(deadline=NOW - 60))], [], []),
    ("a stop waits", [], [told(Rung.TERM, since=NOW - 60, until=NOW - 30)], []),
    ("and does not go on to ABRT", [], [told(Rung.NOW, since=NOW - 60)], []),
    ("a lease's end is never forgiven", [slot(current=process(lease_end=NOW - 60))], [], [Push(1, Rung.ABRT, OVERDUE)]),
    ("who was ended is ended", [], [told(Rung.ABRT, since=NOW - 60)], [Push(1, Rung.KILL)]),
    ("who is missing is started", [slot()], [], [Start("a")]),
    ("who is not wanted is told", [slot(wanted=False, current=process())], [], [Dismiss("a", 1)]),
]


@pytest.mark.parametrize(("slots", "leavers", "expected"), [row[1:] for row in FROZEN], ids=[row[0] for row in FROZEN])
def test_after_a_freeze(slots, leavers, expected):
    assert list(plan(slots, leavers, now=NOW, indulgent=True)) == expected


# When there is something to do.

MOMENTS = [
    ("nothing is there", [], [], INFINITE),
    ("all is well", [slot(current=process())], [], INFINITE),
    ("who is up long ago is not late any more", [slot(current=process(boot_by=NOW - 1000))], [], INFINITE),
    ("an empty slot", [slot(due=NOW + 3)], [], NOW + 3),
    ("an empty slot that nobody wants", [slot(due=NOW + 3, wanted=False)], [], INFINITE),
    ("one that is hopeless", [slot(due=NOW + 3, fatal=True)], [], INFINITE),
    ("who boots", [slot(current=boots())], [], NOW + 5),
    ("a successor that boots", [slot(current=old(), successor=boots(2))], [], NOW + 5),
    ("an old one whose next successor waits", [slot(current=old(), due=NOW + 2)], [], NOW + 2),
    ("an old one that waits for another to drain", [slot(current=old(), due=0.0)], [told(Rung.TERM, pid=9)], INFINITE),
    (
        "an old one that waits for another to boot",
        [slot("a", current=old(1), successor=boots(2)), slot("b", current=old(3))],
        [],
        NOW + 5,
    ),
    ("who leaves without hurry", [], [told(Rung.TERM)], INFINITE),
    ("who leaves by a time", [], [told(Rung.TERM, until=NOW + 7)], NOW + 7),
    ("who leaves at once", [], [told(Rung.TERM, until=NOW)], NOW + BETWEEN_TERMS),
    ("who was aborted", [slot(current=told(Rung.ABRT))], [], NOW + AFTER_ABRT),
    ("who was killed", [slot(current=told(Rung.KILL))], [], INFINITE),
    ("the first of all", [slot("a", due=NOW + 9), slot("b", current=boots())], [told(Rung.NOW)], NOW + AFTER_NOW),
]


@pytest.mark.parametrize(("slots", "leavers", "moment"), [row[1:] for row in MOMENTS], ids=[row[0] for row in MOMENTS])
def test_when_something_is_due(slots, leavers, moment):
    assert due(slots, leavers) == moment


@pytest.mark.parametrize("row", [*TABLE, *MOMENTS], ids=lambda row: row[0])
def test_what_waits_for_others_lets_the_master_rest(row):
    """Where the plan finds nothing to do now, nothing is due now either: else the master would never sleep."""
    slots, leavers = row[1], row[2]
    if not list(plan(slots, leavers, now=NOW)):
        assert due(slots, leavers) > NOW
