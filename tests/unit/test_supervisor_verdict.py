"""What an end means: for the slot, and for the task that ran (P4, R5, R16)."""

from __future__ import annotations

import os
import signal
from random import Random

import pytest

from supervisor import backoff
from supervisor.ladder import AFTER_ABRT, AFTER_NOW, BETWEEN_TERMS, Rung, Standing
from supervisor.verdict import Exit, Kind, judge
from taskqueue.worker.scorecard import Card, State

BOOTS = Card(incarnation="", state=State.BOOT)
IDLE = Card(incarnation="i", state=State.IDLE)
RUNS = Card(incarnation="i", state=State.RUNNING, task_id="t")
LEAVES = Card(incarnation="i", state=State.STOPPING, leaving=True)
LEAVES_ITS_TASK = Card(incarnation="i", state=State.RUNNING, task_id="t", leaving=True)
NONE, TERM, NOW, ABRT, KILL = Rung

TABLE = [
    # In good order: the code counts only with the word of the worker itself.
    ("it left as it was told", Exit(code=0), LEAVES, TERM, Kind.LEFT, False),
    ("somebody else told it to leave", Exit(code=0), LEAVES, NONE, Kind.LEFT, False),
    ("it asked to be recycled", Exit(code=75), LEAVES, NONE, Kind.RECYCLED, False),
    ("its task called os._exit(0)", Exit(code=0), RUNS, NONE, Kind.FAILED, True),
    ("its task called os._exit(75)", Exit(code=75), RUNS, NONE, Kind.FAILED, True),
    ("its task called os._exit(0) while it was to leave after it", Exit(code=0), RUNS, TERM, Kind.FAILED, True),
    ("something called os._exit(0) between two tasks", Exit(code=0), IDLE, NONE, Kind.FAILED, True),
    ("nobody knows what it did", Exit(code=0), None, NONE, Kind.FAILED, True),
    # What can never work.
    ("its configuration cannot work", Exit(code=78), BOOTS, NONE, Kind.CANNOT, False),
    ("it ended before it could write anything", Exit(code=78), None, NONE, Kind.CANNOT, False),
    ("it left since its store is of another release", Exit(code=78), LEAVES, NONE, Kind.CANNOT, False),
    ("its task called os._exit(78)", Exit(code=78), RUNS, NONE, Kind.FAILED, True),
    ("something called os._exit(78) between two tasks", Exit(code=78), IDLE, NONE, Kind.FAILED, True),
    ("it could not start although it was to go", Exit(code=78), BOOTS, TERM, Kind.CANNOT, False),
    # Deaths.
    ("it broke", Exit(code=1), IDLE, NONE, Kind.FAILED, True),
    ("it broke while it left", Exit(code=1), LEAVES, NONE, Kind.FAILED, False),
    ("it crashed under its task", Exit(signal=signal.SIGSEGV), RUNS, NONE, Kind.FAILED, True),
    ("it was killed", Exit(signal=signal.SIGKILL), RUNS, NONE, Kind.FAILED, True),
    ("it was killed while its task drained", Exit(signal=signal.SIGKILL), RUNS, TERM, Kind.FAILED, True),
    ("it was killed as it had left its task", Exit(signal=signal.SIGKILL), LEAVES_ITS_TASK, TERM, Kind.FAILED, False),
    ("somebody ended it while it booted", Exit(signal=signal.SIGTERM), BOOTS, NONE, Kind.FAILED, True),
    # As it was told: nobody's crash (P4).
    ("we told it before it had begun", Exit(signal=signal.SIGTERM), BOOTS, TERM, Kind.LEFT, False),
    ("it ended in the middle of its task, since it had to", Exit(code=1), LEAVES_ITS_TASK, NOW, Kind.LEFT, False),
    ("whatever it says when it has to go now", Exit(code=3), RUNS, NOW, Kind.LEFT, False),
    ("it was aborted on a stop", Exit(signal=signal.SIGABRT), RUNS, ABRT, Kind.LEFT, False),
    ("it was killed on a stop", Exit(signal=signal.SIGKILL), RUNS, KILL, Kind.LEFT, False),
]


@pytest.mark.parametrize(
    ("end", "card", "told", "kind", "blamed"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_verdict(end, card, told, kind, blamed):
    verdict = judge(end, card, told=told)
    assert (verdict.kind, verdict.blamed) == (kind, blamed)


@pytest.mark.parametrize("told", [Rung.ABRT, Rung.KILL])
@pytest.mark.parametrize("card", [RUNS, LEAVES_ITS_TASK, None])
def test_what_was_wrong_with_it_is_the_cause_however_it_ended(told, card):
    """A hung worker's task is to blame, although it was we who ended it (R5)."""
    verdict = judge(Exit(signal=signal.SIGABRT), card, told=told, why="it gave no sign of life")
    assert (verdict.kind, verdict.cause, verdict.blamed) == (Kind.FAILED, "it gave no sign of life", True)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (Exit(code=3), "exit code 3"),
        (Exit(signal=9), "killed by SIGKILL"),
        (Exit(signal=int(signal.SIGRTMIN) + 5), f"killed by signal {int(signal.SIGRTMIN) + 5}"),
    ],
)
def test_an_end_has_a_name(end, said):
    assert str(end) == said


@pytest.mark.parametrize(("how", "end"), [("exit", Exit(code=7)), ("kill", Exit(signal=signal.SIGKILL))])
def test_an_end_is_read_as_the_kernel_tells_it(how, end):
    if not (pid := os.fork()):
        os._exit(7) if how == "exit" else os.kill(os.getpid(), signal.SIGKILL)
    assert Exit.of(os.waitid(os.P_PID, pid, os.WEXITED)) == end


# The ladder


def test_the_ladder_ends_with_force():
    assert [rung.signal.name for rung in Rung if rung] == ["SIGTERM", "SIGTERM", "SIGABRT", "SIGKILL"]


@pytest.mark.parametrize(
    ("standing", "leave_at"),
    [
        (Standing(), float("inf")),
        (Standing(Rung.TERM, 10.0), float("inf")),
        (Standing(Rung.TERM, 10.0, 40.0), 40.0),
        (Standing(Rung.TERM, 10.0, 0.0), 10.0 + BETWEEN_TERMS),
        (Standing(Rung.NOW, 10.0, 0.0), 10.0 + AFTER_NOW),
        (Standing(Rung.ABRT, 10.0), 10.0 + AFTER_ABRT),
        (Standing(Rung.KILL, 10.0), float("inf")),
    ],
)
def test_how_long_who_was_told_may_stay(standing, leave_at):
    assert standing.leave_at == leave_at
    assert standing.next(min(leave_at - 0.01, 1e9)) is None
    assert leave_at == float("inf") or standing.next(leave_at) == standing.rung + 1


# Back-off


def test_the_first_failure_is_tried_again_at_once():
    assert [backoff.delay(failures, Random()) for failures in (0, 1)] == [0.0, 0.0]


def test_then_later_and_later_up_to_a_minute():
    means = [sum(backoff.delay(n, Random(seed)) for seed in range(200)) / 200 for n in range(2, 12)]
    assert means == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60, 60], rel=0.05)


@pytest.mark.parametrize("failures", [2, 5, 8, 10_000_000])
def test_each_a_quarter_more_or_less(failures):
    found = {backoff.delay(failures, Random(seed)) for seed in range(100)}
    middle = min(60.0, 2.0 ** min(failures - 2, 10))
    assert len(found) > 50
    assert middle * 0.75 <= min(found) < max(found) <= middle * 1.25
