"""Workers that die: replaced, with back-off, and their tasks run again at once (P3, P4, R5, R16)."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from taskqueue import Status
from tests.support import mischief, tasks
from tests.support.eventually import eventually
from tests.support.supervision import MODULES, is_gone

pytestmark = pytest.mark.process
ONE_WORKER = "[queues.default]\nworkers = 1"
GOOD_AND_BAD = "[queues.default]\nworkers = 1\n[queues.bad]\nworkers = 1"
TROUBLE = f'{MODULES}, "tests.support.trouble"'
LEASE = 120


def test_a_killed_worker_s_task_runs_again_at_once_and_its_attempts_say_what_happened(site, supervisor):
    gate = site.folder / "gate"
    handle = site.queue.enqueue(tasks.until, str(site.ledger), str(gate))
    pid = supervisor.runs(handle)
    others = [*{*supervisor.pids()} - {pid}, supervisor.keeper]
    (slot,) = [slot for slot in supervisor.pool().slots if slot.pid == pid]
    os.kill(pid, signal.SIGKILL)
    supervisor.runs(handle, times=2)
    first, second = (int(line[5]) for line in site.lines("start", handle.id))
    assert second - first < LEASE / 2 * 1e9, "its lease had long not ended"
    gate.touch()
    assert handle.wait(20) is Status.COMPLETED
    ((cause, detail),) = site.attempts(handle)
    assert cause == "crash"
    assert detail == f"killed by SIGKILL (worker {slot.name}, pid {pid})"
    assert site.counters(handle) == (2, 1)
    assert set(others) <= {*supervisor.replaced(pid), supervisor.keeper}
    replaced = supervisor.slot(slot.index)
    assert replaced.restarts == 1
    assert replaced.note.startswith("killed by SIGKILL")


def test_what_was_leased_and_not_started_gets_no_attempt(make_site):
    site = make_site(queues=ONE_WORKER)
    supervisor = site.start()
    supervisor.send("SIGUSR2")
    supervisor.eventually(lambda status: status.paused)
    dies = site.queue.enqueue(tasks.dies, str(site.ledger), 1)
    behind = [site.queue.enqueue(tasks.traced, str(site.ledger)) for _ in range(20)]
    supervisor.send("SIGCONT")
    assert {handle.wait(20) for handle in [dies, *behind]} == {Status.COMPLETED}
    assert site.counters(dies) == (2, 1)
    assert {(*site.counters(handle), len(site.attempts(handle))) for handle in behind} == {(1, 0, 0)}
    assert len(site.lines("start")) == 22


def test_poison_ends_failed_with_the_cause_and_harms_nobody(make_site):
    site = make_site(defaults="max_crashes = 1")
    supervisor = site.start()
    poison = site.queue.enqueue(tasks.dies, str(site.ledger))
    good = [site.queue.enqueue(tasks.add, n, 1) for n in range(10)]
    assert poison.wait(20) is Status.FAILED
    assert "SIGKILL" in poison.report().message
    assert len(site.lines("start", poison.id)) == 2
    assert [cause for cause, _ in site.attempts(poison)] == ["crash", "crash"]
    assert {handle.wait(20) for handle in good} == {Status.COMPLETED}
    assert {site.counters(handle)[1] for handle in good} == {0}
    supervisor.ready()


def test_a_task_that_ends_its_worker_by_a_special_exit_code_is_a_crash_like_any_other(make_site):
    """R16: 0, 75 and 78 count only where the worker itself says so."""
    site = make_site(defaults="max_crashes = 0", queues="[queues.default]\nworkers = 3")
    supervisor = site.start()
    handles = {code: site.queue.enqueue(mischief.exits, str(site.ledger), code) for code in (0, 75, 78)}
    for code, handle in handles.items():
        assert handle.wait(20) is Status.FAILED
        assert f"exit code {code}" in handle.report().message
    supervisor.ready()
    assert sum(slot.restarts for slot in supervisor.pool().slots) == 3


def test_all_workers_killed_at_once_are_all_reaped_and_replaced(make_site):
    site = make_site(queues="[queues.default]\nworkers = 20")
    supervisor = site.start()
    pids = supervisor.pids()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert len(supervisor.replaced(*pids)) == 20
    assert site.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED


def test_the_children_of_a_dead_worker_die_with_it(site, supervisor):
    handle = site.queue.enqueue(mischief.waits_with_a_child, str(site.ledger))
    pid = supervisor.runs(handle)
    child = psutil.Process(mischief.child_of(eventually(lambda: site.lines()[1:] and site.lines())))
    site.queue.task_log.cancel(handle.id)
    os.kill(pid, signal.SIGKILL)
    supervisor.replaced(pid)
    eventually(lambda: is_gone(child))


def test_a_worker_that_is_recycled_is_no_failure_and_waits_for_nothing(make_site):
    site = make_site(defaults="max_tasks = 5")
    supervisor = site.start()
    handles = [site.queue.enqueue(tasks.traced, str(site.ledger)) for _ in range(40)]
    assert {handle.wait(30) for handle in handles} == {Status.COMPLETED}
    done = [int(line[4]) for line in site.lines("start")]
    assert {done.count(pid) for pid in done} <= {1, 2, 3, 4, 5, 6}
    assert len(set(done)) >= 7
    assert {slot.restarts for slot in supervisor.ready().pool().slots} == {0}
    assert "worker left: replaced, as it asked" in supervisor.output
    assert "worker died" not in supervisor.output


def test_a_crash_loop_in_one_pool_backs_off_and_leaves_the_others_alone(make_site):
    site = make_site(queues=GOOD_AND_BAD, modules=TROUBLE, app="preload = false")
    supervisor = site.start()
    trouble = site.folder / "trouble"
    trouble.write_text("3")
    (good,), (bad,) = supervisor.pids(), supervisor.pids("bad")
    os.kill(bad, signal.SIGKILL)
    # At once, then after a second, then after two, each a quarter more or less.
    supervisor.eventually(lambda _: (supervisor.slot(0, "bad").retry_in or 0.0) > 1.3)
    slot = supervisor.slot(0, "bad")
    assert (slot.state, slot.note.split(" s ago")[0][:-2]) == ("down", "exit code 3")
    assert 3 <= slot.restarts <= 4
    assert supervisor.status.degraded
    assert site.queue.enqueue(tasks.pid).result(20) == good
    trouble.unlink()
    supervisor.ready()
    assert supervisor.pids() == [good]


def test_a_pool_that_can_never_start_is_not_tried_again_until_somebody_says_so(make_site):
    site = make_site(queues=GOOD_AND_BAD, modules=TROUBLE, app="preload = false")
    trouble = site.folder / "trouble"
    trouble.write_text("raise")
    supervisor = site.start(ready=False)
    supervisor.says("cannot import 'tests.support.trouble'")
    supervisor.eventually(lambda _: supervisor.slot(0, "bad").state == "fatal" and supervisor.pids())
    assert site.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    slot = supervisor.slot(0, "bad")
    assert (slot.retry_in, slot.restarts) == (None, 0)
    assert "exit code 78" in slot.note
    assert supervisor.output.count("worker cannot start") == 1
    trouble.unlink()
    supervisor.tell("restart", "bad")
    supervisor.ready()


@pytest.mark.parametrize(
    ("when", "queues"), [("any", GOOD_AND_BAD), ("all", "[queues.default]\nworkers = 0\n[queues.bad]\nworkers = 2")]
)
def test_a_supervisor_whose_pools_cannot_start_leaves_with_78_if_it_is_to(make_site, when, queues):
    site = make_site(queues=queues, modules=TROUBLE, app="preload = false", supervisor=f'exit_when = "{when}"')
    (site.folder / "trouble").write_text("raise")
    supervisor = site.start(ready=False)
    assert supervisor.wait() == 78
    assert "workers cannot ever start ([supervisor] exit_when" in supervisor.output


def test_a_supervisor_stays_while_one_of_its_pools_can_work(make_site):
    site = make_site(queues=GOOD_AND_BAD, modules=TROUBLE, app="preload = false", supervisor='exit_when = "all"')
    (site.folder / "trouble").write_text("raise")
    supervisor = site.start(ready=False)
    supervisor.eventually(lambda _: supervisor.slot(0, "bad").state == "fatal" and supervisor.pids())
    assert site.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
