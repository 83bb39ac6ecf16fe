"""Workers that die, hang and lose their lease: nothing is lost, nothing runs twice at once (P2, P3, P4, P10)."""

from __future__ import annotations

from collections import defaultdict

import psutil
import pytest

from taskqueue import Status
from taskqueue.database.sidefile import write_lock_holders
from tests.support import tasks
from tests.support.eventually import eventually

pytestmark = pytest.mark.process


def test_a_killed_worker_s_task_runs_again_and_says_why(project):
    """P3, P4."""
    gate = project.folder / "gate"
    handle = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    first = project.worker()
    project.started(handle)
    second = project.worker()
    first.kill()
    project.started(handle, times=2)
    gate.touch()
    assert handle.wait(20) is Status.COMPLETED
    (attempt,) = project.queue.task_log.attempts(handle.id)
    assert (attempt.cause.value, attempt.attempt) == ("crash", 1)
    assert "died while it ran the task" in attempt.detail
    entry = project.queue.task_log.get(handle.id)
    assert (entry.attempts, entry.crashes) == (2, 1)
    assert second.stop() == 0
    project.nothing_left()


def test_poison_is_contained(project):
    """P4: a task whose worker dies under it is run at most `max_crashes` times more, then it is failed."""
    poison = project.queue.enqueue(tasks.dies, str(project.ledger))
    good = project.queue.enqueue(tasks.add, 1, 1)
    while not poison.status().ended:
        project.worker("default", "--drain").wait()
    project.drain()
    assert good.result() == 2
    assert poison.status() is Status.FAILED
    assert len(project.lines("start", poison.id)) == 4
    assert "died while it ran the task" in poison.report().message
    project.nothing_left()


def test_a_crash_uses_up_no_retry(project):
    """P4, P9: one death of its worker, then a failure of its own, which is followed by its one retry."""
    handle = project.queue.options(retries=1, backoff=0.01).enqueue(tasks.crashes_then_fails, str(project.ledger))
    project.worker("default", "--drain").wait()
    worker = project.worker()
    assert handle.wait(20) is Status.FAILED
    assert worker.stop() == 0
    assert len(project.lines("start", handle.id)) == 3
    assert [a.cause.value for a in project.queue.task_log.attempts(handle.id)] == ["crash", "retry", "error"]
    entry = project.queue.task_log.get(handle.id)
    assert (entry.attempts, entry.crashes) == (3, 1)


def test_a_dead_parent_s_rerun_doubles_no_child(project):
    """R11."""
    handle = project.queue.enqueue(tasks.parent_that_dies_once, 5, str(project.ledger))
    project.worker("default", "--drain").wait()
    worker = project.worker()
    assert handle.wait(20) is Status.COMPLETED
    assert len(project.queue.task_log.children(handle.id)) == 5
    worker.stop()
    project.nothing_left()


def test_a_task_past_its_timeout_is_interrupted(project):
    """P10."""
    slow = [project.queue.enqueue(t, str(project.ledger)) for t in (tasks.too_slow, tasks.too_slow_async)]
    after = project.queue.enqueue(tasks.add, 1, 1)
    worker = project.worker()
    assert [h.wait(20) for h in slow] == [Status.FAILED, Status.FAILED]
    assert after.wait(20) is Status.COMPLETED
    for handle in slow:
        assert "longer than its timeout of 0.3 s" in handle.report().message
        assert "traceback" in handle.report().data
    assert worker.stop() == 0


def test_a_task_that_holds_the_interpreter_is_ended_with_its_worker(project):
    """P10, R3: no Python thread can act; the timer in C does, with the stack in the log."""
    handle = project.queue.enqueue(tasks.hogs_the_interpreter)
    worker = project.worker()
    assert worker.wait(30) != 0
    assert "hogs_the_interpreter" in worker.log.read_text()
    survivor = project.worker("other")
    attempts = eventually(lambda: project.queue.task_log.attempts(handle.id))
    assert "did not yield at its time limit" in attempts[0].detail
    survivor.stop()


def froze_between_two_steps(worker, project) -> bool:
    """Stop it where it holds no lock of the store; else nobody could write until it goes on (and it goes on)."""
    worker.send("SIGSTOP")
    eventually(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED)
    locks = [str(project.folder / f"tasks.db{suffix}") for suffix in ("-turn", "-lock", "-shm")]
    if worker.pid not in write_lock_holders(*locks):
        return True
    worker.send("SIGCONT")
    return False


def test_a_stopped_worker_loses_its_lease_and_its_late_result_changes_nothing(make_project):
    """P2, P4: frozen past its lease, another runs the task; what the frozen one writes is refused."""
    project = make_project(defaults="lease = 1")
    gate = project.folder / "gate"
    handle = project.queue.enqueue(tasks.until, str(project.ledger), str(gate))
    frozen = project.worker()
    project.started(handle)
    eventually(lambda: froze_between_two_steps(frozen, project))
    try:
        other = project.worker()
        project.started(handle, times=2)
    finally:
        frozen.send("SIGCONT")
    # Whichever comes first when it thaws: the timer in C ends it, or its task yields to LeaseLost.
    eventually(lambda: frozen.process.poll() or "lease lost" in frozen.log.read_text())
    gate.touch()
    assert handle.wait(20) is Status.COMPLETED
    assert len(project.lines("end", handle.id)) == 1
    assert project.queue.task_log.get(handle.id).fence == 2
    other.stop()


def test_a_long_task_keeps_its_lease(make_project):
    project = make_project(defaults="lease = 1")
    handle = project.queue.enqueue(tasks.traced, str(project.ledger), 3.0)
    workers = [project.worker(), project.worker()]
    assert handle.wait(20) is Status.COMPLETED
    assert len(project.lines("start", handle.id)) == 1
    assert [w.stop() for w in workers] == [0, 0]


def test_thousands_of_tasks_two_workers_one_killed_half_way(project):
    """Every task completed, none at once in two workers, nothing left leased."""
    count = 3000
    handles = []
    for start in range(0, count, 1000):
        handles += project.queue.enqueue_many(
            tasks.traced.bind(str(project.ledger)) for _ in range(start, start + 1000)
        )
    first, second = project.worker(), project.worker()
    eventually(lambda: len(project.lines("end")) > count / 2, within=50)
    first.kill()
    eventually(lambda: project.queue.task_log.categories()["completed"] == count, within=50)
    assert second.stop() == 0
    project.nothing_left()
    runs = defaultdict(list)
    for what, task_id, _, fence, pid, at in project.lines():
        runs[task_id].append((int(at), what, int(fence), int(pid)))
    assert set(runs) == {handle.id for handle in handles}
    for lines in runs.values():
        assert_no_overlap(sorted(lines), dead=first.pid)


def assert_no_overlap(lines: list[tuple[int, str, int, int]], *, dead: int) -> None:
    """Between a start and its end no other run begins; only the killed worker's starts have no end."""
    running = None
    for _, what, _, pid in lines:
        if what == "start":
            assert running in (None, dead), f"two at once: {lines}"
            running = pid
        else:
            assert pid == running, f"two at once: {lines}"
            running = None
    assert running is None
    assert len([1 for line in lines if line[1] == "start"]) == 1 or any(line[3] == dead for line in lines), (
        "a task ran twice, and no fault explains it"
    )
