"""`taskqueue worker` as a real process: what it runs, how it ends, what it leaves behind."""

from __future__ import annotations

import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.eventually import eventually

pytestmark = pytest.mark.process


def test_a_task_runs_and_its_report_is_in_the_log(project):
    handle = project.queue.enqueue(tasks.add, 2, 3)
    assert project.drain() == 0
    assert handle.result() == 5
    project.nothing_left()


def test_a_class_task_answers_with_its_own_report(project):
    greeting = tasks.Greeting()
    greeting.set_name("Ann")
    handle = project.queue.enqueue(greeting)
    project.drain()
    assert handle.report().message == "Hello, Ann!"


def test_an_async_task_is_awaited(project):
    handle = project.queue.enqueue(tasks.add_async, 2, 3)
    project.drain()
    assert handle.result() == 5


def test_a_failing_task_is_run_again_as_often_as_it_says(project):
    """P9."""
    handle = project.queue.enqueue(tasks.fails, "bad day")
    worker = project.worker()
    assert handle.wait(20) is Status.FAILED
    worker.stop()
    report = handle.report()
    assert report.message == "ValueError: bad day"
    assert "raise ValueError(text)" in report.data["traceback"]
    assert [a.cause.value for a in project.queue.task_log.attempts(handle.id)] == ["retry", "retry", "error"]
    assert project.queue.task_log.get(handle.id).attempts == 3


def test_sys_exit_fails_the_task_and_not_the_worker(project):
    """P9."""
    left, after = project.queue.enqueue(tasks.leaves), project.queue.enqueue(tasks.add, 1, 1)
    assert project.drain() == 0
    assert left.status() is Status.FAILED
    assert "sys.exit(3)" in left.report().message
    assert after.result() == 2


def test_a_result_that_cannot_be_stored_fails_and_says_so(project):
    handle = project.queue.enqueue(tasks.unstorable)
    assert project.drain() == 0
    assert handle.status() is Status.FAILED
    assert "its result cannot be stored" in handle.report().message


ODD_ENDS = [
    (tasks.asks_for_ever, (), "ValueError: Retry: its delay is inf seconds; it goes from 0 to 1e+09"),
    (tasks.asks_for_ever_past_the_check, (), "ValueError: Retry: its delay is nan seconds; it goes from 0 to 1e+09"),
    (tasks.says_no_text, (), "its result cannot be stored: message is of type dict; it must be text"),
    (tasks.adds_no_report, (), "TypeError: with_children() takes reports"),
    (tasks.progresses_oddly, ("nan",), "ValueError: context.progress(): done is nan"),
]


def test_a_worker_survives_whatever_a_task_ends_with_and_the_report_says_what_was_wrong(project):
    handles = [project.queue.enqueue(odd, *arguments) for odd, arguments, _ in ODD_ENDS]
    after = project.queue.enqueue(tasks.add, 1, 1)
    odd_text = project.queue.enqueue(tasks.progresses_oddly, "1")
    assert project.drain() == 0
    assert [h.status() for h in handles] == [Status.FAILED] * len(handles)
    for handle, (_, _, said) in zip(handles, ODD_ENDS, strict=True):
        assert said in handle.report().message
    assert after.result() == 2
    assert odd_text.status() is Status.COMPLETED
    project.nothing_left()


def test_limit_counts_tasks(project):
    handles = [project.queue.enqueue(tasks.add, n, 1) for n in range(5)]
    assert project.worker("default", "--limit", "2").wait() == 0
    assert sum(h.status() is Status.COMPLETED for h in handles) == 2
    assert project.queue.queue("default").broker.depth().waiting == 3
    project.drain()
    project.nothing_left()


def test_limit_does_not_count_polls_of_an_empty_queue(project):
    worker = project.worker("default", "--limit", "1")
    eventually(lambda: "default" in worker.log.read_text())
    handle = project.queue.enqueue(tasks.add, 1, 1)
    assert worker.wait() == 0
    assert handle.result() == 2


def test_once_takes_one_task_or_leaves(project):
    assert project.worker("default", "--once").wait() == 0
    first, second = project.queue.enqueue(tasks.add, 1, 1), project.queue.enqueue(tasks.add, 1, 1)
    assert project.worker("default", "--once").wait() == 0
    assert [first.status(), second.status()] == [Status.COMPLETED, Status.ENQUEUED]


def test_for_is_a_worker_s_lifetime(project):
    assert project.worker("default", "--for", "0.3").wait() == 0


def test_a_worker_of_two_queues_serves_both(project):
    here = project.queue.enqueue(tasks.add, 1, 1)
    there = project.queue.options(queue="other").enqueue(tasks.add, 2, 2)
    assert project.worker("default", "other", "--drain").wait() == 0
    assert [here.result(), there.result()] == [2, 4]


def test_a_delayed_task_waits_and_then_runs(project):
    """P13."""
    handle = project.queue.options(delay=0.8).enqueue(tasks.add, 1, 1)
    worker = project.worker()
    first = project.queue.enqueue(tasks.add, 2, 2)
    assert first.wait(20) is Status.COMPLETED
    assert handle.wait(20) is Status.COMPLETED
    entry = project.queue.task_log.get(handle.id)
    assert entry.started_at >= entry.due_at
    worker.stop()


def test_priorities_come_first(project):
    """P13."""
    for priority in (9, 5, 0):
        project.queue.options(priority=priority, label=str(priority)).enqueue(tasks.traced, str(project.ledger))
    project.drain()
    ran = [project.queue.task_log.get(line[1]).priority for line in project.lines("start")]
    assert ran == [0, 5, 9]


def test_an_idle_worker_starts_a_task_when_it_comes(project):
    worker = project.worker()
    eventually(lambda: list(project.folder.glob("tasks.db-wake-default")), what="an idle worker's bell")
    assert project.queue.enqueue(tasks.add, 1, 1).result(timeout=20) == 2
    assert worker.stop() == 0
    project.nothing_left()


def test_a_worker_is_recycled_after_so_many_tasks(make_project):
    project = make_project(defaults="max_tasks = 3")
    for n in range(5):
        project.queue.enqueue(tasks.add, n, 1)
    assert project.worker("default").wait() == 75
    assert project.queue.queue("default").broker.depth().waiting == 2


def test_a_worker_that_grew_is_recycled_between_tasks(make_project):
    project = make_project(defaults='max_memory = "200MiB"')
    handle = project.queue.enqueue(tasks.grows, 300)
    assert project.worker("default").wait() == 75
    assert handle.status() is Status.COMPLETED


def test_ten_tasks_behind_a_long_one_go_back_to_the_queue(project):
    """P13: nothing waits behind a task that has run for 200 ms."""
    gate = project.folder / "gate"
    short = [project.queue.enqueue(tasks.add, n, 1) for n in range(20)]
    first = project.worker()
    assert all(h.wait(20) is Status.COMPLETED for h in short)
    long = project.queue.enqueue_many(
        [tasks.until.bind(str(project.ledger), str(gate)), *(tasks.add.bind(n, 1) for n in range(10))]
    )
    project.started(long[0])
    second = project.worker()
    assert all(h.wait(20) is Status.COMPLETED for h in long[1:])
    gate.touch()
    assert long[0].wait(20) is Status.COMPLETED
    assert [first.stop(), second.stop()] == [0, 0]
    project.nothing_left()


def test_a_report_is_stored_before_the_next_task_where_the_queue_says_so(make_project):
    project = make_project(defaults='commit = "each"')
    handles = project.queue.enqueue_many(tasks.log_of_others.bind(str(project.config)) for _ in range(10))
    project.drain()
    assert [h.result() for h in handles] == list(range(10))


def test_drain_runs_what_the_last_task_enqueued(project):
    """A scan that began before the last task ended has not seen what that one left."""
    project.queue.enqueue(tasks.chain, str(project.ledger), 40)
    assert project.drain() == 0
    assert len(project.lines("end")) == 40
    project.nothing_left()
