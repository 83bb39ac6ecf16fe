"""The ledger's checker: it must catch each violation of a promise that is planted, and nothing where all went well."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from taskqueue import Report, Status
from taskqueue.codec import encode_report
from taskqueue.tasklog.entry import Attempt, Cause, Entry
from tests.support.ledger import Books, Ledger, stale, verdict
from tests.support.runs import WAKING, Fault

KILLED = Fault(pid=66, at=25)
FROZEN = Fault(pid=66, at=25, until=60, kind="frozen")
SUSPENDED = Fault(pid=66, at=25, until=60, kind="suspended")


def signed(fence: int) -> bytes:
    return encode_report(Report.success(data={"fence": fence, "pid": 7}))


def entry(**values) -> Entry:
    """A task that was completed by its first run."""
    done = {"status": Status.COMPLETED, "attempts": 1, "fence": 1, "report": signed(1), "created_at": 1}
    return Entry(**{"id": "t", "name": "shop:mail", "queue": "mail", **done, **values})


def attempt(cause: Cause, *, fence: int = 1, of: str = "t") -> Attempt:
    return Attempt(task_id=of, fence=fence, attempt=1, cause=cause, ended_at=1)


def books(*entries: Entry, attempts=(), **values) -> Books:
    counted: dict[str, dict[Status, int]] = {}
    for one in entries:
        of_queue = counted.setdefault(one.queue, {})
        of_queue[one.status] = of_queue.get(one.status, 0) + 1
    by_task = {one.id: [a for a in attempts if a.task_id == one.id] for one in entries}
    return Books(**{"entries": {one.id: one for one in entries}, "attempts": by_task, "counted": counted, **values})


@pytest.fixture
def judge(tmp_path):
    def judged(lines: str, kept: Books, *faults: Fault, enqueued=("t",), **options) -> list[str]:
        (tmp_path / "ledger").write_text(lines.replace(";", "\n") + "\n" if lines else "")
        return verdict(Ledger(tmp_path / "ledger"), kept, enqueued=enqueued, faults=faults, **options)

    return judged


ONCE = "start t 1 1 7 10;end t 1 1 7 20"
AFTER_A_CRASH = entry(attempts=2, crashes=1, fence=2, report=signed(2))
CRASH = attempt(Cause.CRASH)
AFTER_A_RETRY = entry(attempts=2, fence=2, report=signed(2))
RETRIED = attempt(Cause.RETRY)
UNCOUNTED = entry(attempts=1, fence=2, report=signed(2))


@pytest.mark.parametrize(
    ("lines", "kept", "faults"),
    [
        (ONCE, books(entry()), []),
        ("start t 1 1 66 10;start t 2 2 7 30;end t 2 2 7 40", books(AFTER_A_CRASH, attempts=[CRASH]), [KILLED]),
        # Its report was not stored when its worker died, and nobody knows that it had been at work.
        ("start t 1 1 66 10;end t 1 1 66 20;start t 1 2 7 30;end t 1 2 7 40", books(UNCOUNTED), [KILLED]),
        (
            "start t 1 1 7 10;again t 1 1 7 20;start t 2 2 8 30;end t 2 2 8 40",
            books(AFTER_A_RETRY, attempts=[RETRIED]),
            [],
        ),
        ("start t 1 1 66 10;start t 1 2 7 30;end t 1 2 7 40", books(UNCOUNTED), [FROZEN]),
        # It had stood still for longer than its lease when it came to its next step.
        ("start t 1 1 66 10;start t 1 2 7 30;end t 1 2 7 40;end t 1 1 66 70", books(UNCOUNTED), [SUSPENDED]),
        ("", books(entry(status=Status.CANCELLED, attempts=0, fence=0, report=None)), []),
        ("start t 1 1 66 10;end t 1 1 66 20", books(entry(status=Status.CANCELLED, attempts=0)), [KILLED]),
        (ONCE, books(entry(), entry(id="c", parent_id="t", status=Status.CANCELLED, attempts=0, report=None)), []),
    ],
)
def test_what_may_be_is_let_pass(judge, lines, kept, faults):
    assert judge(lines, kept, *faults) == []


def poisoned(crashes: int) -> Entry:
    report = encode_report(Report.error("Its worker died under it", {"crashes": 1}))
    return entry(status=Status.FAILED, attempts=1, crashes=crashes, fence=2, report=report)


def test_a_task_that_failed_for_its_workers_deaths_is_no_violation(judge):
    assert judge("start t 1 1 66 10", books(poisoned(1), attempts=[CRASH]), KILLED) == []
    assert "failed" in judge("start t 1 1 66 10", books(poisoned(0)), KILLED)[0]


@pytest.mark.parametrize(
    ("violation", "lines", "kept", "faults"),
    [
        # as many ended as were enqueued
        ("was enqueued and has no entry", "", books(), []),
        ("was enqueued by nobody", ONCE, books(entry(), entry(id="u", status=Status.CANCELLED, attempts=0)), []),
        ("never ended", ONCE, books(entry(status=Status.ENQUEUED)), []),
        ("never ended", "start t 1 1 66 10", books(entry(status=Status.RUNNING)), [KILLED]),
        ("ran and has no entry", ONCE + ";start u 1 1 7 30;end u 1 1 7 40", books(entry()), []),
        ("failed", ONCE, books(entry(status=Status.FAILED)), []),
        ("the task log counts", ONCE, books(entry(), counted={"mail": {Status.COMPLETED: 2}}), []),
        ("the task log counts", ONCE, books(entry(), counted={}), []),
        # an end for each task
        ("never ran to its end", "start t 1 1 66 10", books(entry()), [KILLED]),
        ("never ran to its end", "", books(entry()), []),
        ("never ran to its end", "start t 1 1 7 10;again t 1 1 7 20", books(entry()), []),
        ("an end without a start", "end t 1 1 7 20", books(entry()), []),
        ("an end without a start", ONCE + ";end t 1 1 7 30", books(entry()), []),
        # one at a time
        ("at once", "start t 1 1 66 10;start t 2 2 7 24;end t 2 2 7 40", books(AFTER_A_CRASH), [KILLED]),
        ("at once", "start t 1 1 66 10;end t 1 1 66 20;start t 1 2 7 15;end t 1 2 7 40", books(UNCOUNTED), [KILLED]),
        ("at once", "start t 1 1 66 10;start t 1 2 7 30;end t 1 2 7 40;end t 1 1 66 70", books(UNCOUNTED), [FROZEN]),
        ("at once", f"start t 1 1 66 10;start t 1 2 7 30;end t 1 1 66 {61 + WAKING}", books(UNCOUNTED), [SUSPENDED]),
        ("at once", "start t 1 1 66 10;start t 1 2 7 20;end t 1 1 66 70", books(UNCOUNTED), [SUSPENDED]),
        ("one claim ran twice", ONCE + ";start t 1 1 7 30;end t 1 1 7 40", books(entry()), []),
        # nothing is accepted from a stale fence
        ("a stale run", ONCE + ";start t 1 2 8 30;end t 1 2 8 40", books(replace(UNCOUNTED, report=signed(1))), []),
        (
            "a stale run",
            "start t 1 1 66 10;start t 1 2 7 30;end t 1 2 7 40;end t 1 1 66 70",
            books(replace(UNCOUNTED, report=signed(1))),
            [SUSPENDED],
        ),
        ("that its entry never had", ONCE + ";start t 1 2 8 30;end t 1 2 8 40", books(entry()), []),
        ("no greater fence", "start t 1 2 66 10;start t 1 1 7 30;end t 1 1 7 40", books(UNCOUNTED), [KILLED]),
        # a cause for each run that was repeated
        ("without a cause", ONCE + ";start t 1 2 8 30;end t 1 2 8 40", books(UNCOUNTED), [KILLED]),
        (
            "without a cause",
            "start t 1 1 66 70;end t 1 1 66 80;start t 1 2 7 90;end t 1 2 7 95",
            books(UNCOUNTED),
            [FROZEN],
        ),
        # counters and attempts
        ("has 2 attempts and 0 crashes", ONCE, books(entry(attempts=2)), []),
        ("has 1 attempts and 1 crashes", ONCE, books(entry(crashes=1), attempts=[CRASH]), []),
        ("not so many attempts that say so", ONCE, books(entry(attempts=2, crashes=1)), []),
        ("has an attempt of fence 3", ONCE, books(entry(), attempts=[attempt(Cause.STOPPED, fence=3)]), []),
        ("that no run asked for", ONCE, books(entry(attempts=2), attempts=[RETRIED]), []),
        ("although it had ended", ONCE, books(entry(status=Status.CANCELLED)), []),
        # nothing is left
        ("left in lease", ONCE, books(entry(), left=["left in lease: a row"]), []),
    ],
)
def test_a_planted_violation_is_caught(judge, violation, lines, kept, faults):
    assert any(violation in one for one in judge(lines, kept, *faults)), judge(lines, kept, *faults)


@pytest.mark.parametrize(("end", "count"), [("", 0), (";end t 1 1 66 29", 0), (";end t 1 1 66 70", 1)])
def test_a_run_that_was_stale_for_a_moment_is_counted(judge, tmp_path, end, count):
    assert judge("start t 1 1 66 10;start t 1 2 7 30;end t 1 2 7 40" + end, books(UNCOUNTED), SUSPENDED) == []
    ledger = Ledger(tmp_path / "ledger")
    ledger.read_on()
    assert stale(ledger, [SUSPENDED]) == count


def test_where_each_report_is_stored_before_the_next_task_a_fault_costs_one_run(judge):
    tasks = [f"t{number}" for number in range(3)]
    twice = "start {0} 1 1 66 {1}1;end {0} 1 1 66 {1}2;start {0} 1 2 7 {1}3;end {0} 1 2 7 {1}4"
    lines = ";".join(twice.format(name, number) for number, name in enumerate(tasks, start=1))
    kept = books(*(replace(UNCOUNTED, id=name) for name in tasks))
    killed = Fault(pid=66, at=50)
    assert judge(lines, kept, killed, enqueued=tasks) == []
    (told,) = judge(lines, kept, killed, enqueued=tasks, commit_each=True)
    assert "66 was hit by 1 faults, and 3 of the tasks that it ran were repeated" in told
    other = Fault(pid=67, at=50)
    assert len(judge(lines, kept, killed, other, other, enqueued=tasks, commit_each=True)) == 1
    assert judge(lines, kept, *[killed] * 3, enqueued=tasks, commit_each=True) == []


def test_a_line_that_is_on_its_way_is_not_read_yet(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.path.write_text("start t 1 1 7 10\nend t 1 1")
    assert not ledger.has_ended(1)
    assert ledger.has_run_in(7)
    ledger.path.write_text(ONCE.replace(";", "\n") + "\n")
    assert ledger.has_ended(1)
