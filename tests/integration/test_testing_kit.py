from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest
import sqlalchemy as sa

import taskqueue
from taskqueue import (
    AbstractTask,
    EncodingError,
    Report,
    Status,
    TaskFailed,
    TaskQueueError,
    UnknownQueue,
    context,
    task,
)
from taskqueue.task.function import default_dispatcher, set_default_dispatcher
from taskqueue.testing import Kit

ran: list[object] = []


@pytest.fixture
def kit(taskqueue_testing: Kit) -> Kit:
    ran.clear()
    return taskqueue_testing


@task
def mail(to: str, *, subject: str = "Hello") -> str:
    ran.append((to, subject))
    return f"sent to {to}"


@task
def sign_up(name: str) -> None:
    ran.append(name)
    mail.options(delay=60).enqueue(name, subject="Welcome")


@task(retries=2, backoff=10)
def flaky() -> str:
    ran.append(context.attempt)
    if context.attempt < 3:
        raise ValueError("not yet")
    return "at last"


@task
def broken() -> None:
    raise ZeroDivisionError("as ever")


@task
def again() -> None:
    again.enqueue()


@task
def gives_up() -> None:
    pytest.fail("seen inside the task")


@task
async def slowly(word: str) -> str:
    return word


@task
def family(names: list[str]) -> str:
    context.create_children(mail.bind(name) for name in names)
    return "sent off"


@task(queue="reports", label="nightly")
def compile_report(when: datetime) -> datetime:
    return when


class Reindex(AbstractTask):
    def __call__(self) -> Report:
        return Report.success(f"reindexed {self.get_parameter('shop')}")


def test_what_code_enqueues_is_caught_and_does_not_run(kit: Kit) -> None:
    mail.enqueue("ann", subject="Hi")
    mail.enqueue("bob")
    flaky.enqueue()
    assert [mail.parameters for mail in kit.enqueued(mail)] == [{"to": "ann", "subject": "Hi"}, {"to": "bob"}]
    assert [one.name.partition(":")[2] for one in kit.enqueued()] == ["mail", "mail", "flaky"]
    assert ran == []


def test_an_enqueued_task_shows_all_that_was_said(kit: Kit) -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    handle = compile_report.options(delay=90, priority=1, owner="ann", timeout=5).enqueue(when)
    (found,) = kit.enqueued(compile_report)
    assert (found.queue, found.priority, found.delay) == ("reports", 1, 90)
    assert (found.owner, found.label) == ("ann", "nightly")
    assert found.options.timeout == 5
    assert found.parameters == {"when": when}
    assert found.handle == handle
    assert found.id == handle.id


def test_tasks_are_found_by_function_class_and_name(kit: Kit) -> None:
    reindex = Reindex()
    reindex.set_parameter("shop", "north")
    kit.queue.enqueue(reindex)
    kit.queue.enqueue_by_name("elsewhere:import_orders", file="a.csv")
    assert kit.enqueued(Reindex)[0].parameters == {"shop": "north"}
    assert kit.enqueued("elsewhere:import_orders")[0].parameters == {"file": "a.csv"}
    assert len(kit.enqueued()) == 2


def test_the_same_id_twice_is_one_task(kit: Kit) -> None:
    first = kit.queue.enqueue(mail, "ann")
    kit.queue.options(id=first.id).enqueue(mail, "ann")
    assert len(kit.enqueued(mail)) == 1


def test_drain_runs_in_order_and_tells_what_ran(kit: Kit) -> None:
    mail.options(priority=9).enqueue("last")
    first = mail.enqueue("first")
    slowly.enqueue("async too")
    done = kit.drain()
    assert [one.report.data for one in done] == ["sent to first", "async too", "sent to last"]
    assert {one.status for one in done} == {Status.COMPLETED}
    assert done[0].handle == first
    assert first.result() == "sent to first"
    assert kit.drain() == []


def test_drain_does_not_end_at_a_task_that_was_cancelled(kit: Kit) -> None:
    for name in ("first", "second"):
        mail.enqueue(name).cancel()
    mail.enqueue("third")
    assert [one.report.data for one in kit.drain()] == ["sent to third"]


def test_drain_runs_what_tasks_enqueue(kit: Kit) -> None:
    sign_up.enqueue("ann")
    kit.drain()
    assert ran == ["ann"]
    assert [mail.delay for mail in kit.enqueued(mail)] == [60]
    kit.travel(59)
    assert kit.drain() == []
    kit.travel(1)
    kit.drain()
    assert ran == ["ann", ("ann", "Welcome")]


def test_a_task_that_failed_waits_for_its_retry(kit: Kit) -> None:
    handle = flaky.enqueue()
    (first,) = kit.drain()
    assert first.status is Status.ENQUEUED
    assert first.report.message == "ValueError: not yet"
    kit.travel(10)
    kit.drain()
    kit.travel(20)
    kit.drain()
    assert ran == [1, 2, 3]
    assert handle.result() == "at last"
    assert len(kit.task_log.attempts(handle.id)) == 2


def test_a_parent_ends_with_its_children(kit: Kit) -> None:
    """P11."""
    parent = family.enqueue(["ann", "bob"])
    done = kit.drain()
    assert [one.status for one in done] == [Status.CHILD_RUNNING, Status.COMPLETED, Status.COMPLETED]
    assert parent.status() is Status.COMPLETED
    assert [child.parent_id for child in kit.enqueued(mail)] == [parent.id, parent.id]


def test_queues_take_turns(kit: Kit) -> None:
    for name in ("a", "b", "c"):
        kit.queue.options(queue="slow").enqueue(mail, name)
    kit.queue.options(queue="fast").enqueue(mail, "z")
    kit.drain()
    assert [to for to, _ in ran] == ["a", "z", "b", "c"]


def test_a_failure_is_told_or_raised(kit: Kit) -> None:
    broken.enqueue()
    (failed,) = kit.drain()
    assert failed.status is Status.FAILED
    broken.enqueue()
    with pytest.raises(TaskFailed, match=r"broken failed: ZeroDivisionError: as ever") as caught:
        kit.drain(raise_failures=True)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.report.data["type"] == "ZeroDivisionError"


def test_an_endless_loop_is_an_error(kit: Kit) -> None:
    again.enqueue()
    with pytest.raises(AssertionError, match=r"50 tasks ran and more are due.*again"):
        kit.drain(limit=50)
    assert len(kit.enqueued(again)) == 51


def test_what_is_meant_for_the_test_passes_through_the_task(kit: Kit) -> None:
    gives_up.enqueue()
    with pytest.raises(pytest.fail.Exception, match="seen inside the task"):
        kit.drain()


def test_what_no_message_can_carry_is_refused_as_in_production(kit: Kit) -> None:
    with pytest.raises(EncodingError, match="subject"):
        mail.enqueue("ann", subject=object())
    assert kit.enqueued() == []


def test_hooks_run(kit: Kit) -> None:
    failures: list[str] = []
    taskqueue.on_failure(lambda context, report, error: failures.append(context.name))
    try:
        broken.enqueue()
        kit.drain()
    finally:
        taskqueue.hooks.HOOKS.clear()
    assert [name.partition(":")[2] for name in failures] == ["broken"]


def test_time_goes_only_on(kit: Kit) -> None:
    with pytest.raises(ValueError, match="not back"):
        kit.travel(-1)


def test_a_task_of_an_open_transaction_counts_at_once(kit: Kit) -> None:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        handle = kit.queue.options(connection=connection).enqueue(mail, "ann")
        assert len(kit.enqueued(mail)) == 1
        kit.drain()
        assert handle.status() is Status.COMPLETED
    engine.dispose()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "taskqueue.toml"
    file.write_text(
        dedent("""\
            [app]
            default_queue = "mail"
            [app.routes]
            "tests.integration.test_testing_kit:broken" = "rest"
            [brokers.main]
            url = "sqlite:///tasks.db"
            [queues.mail]
            [queues.rest]
            retries = 1
            """)
    )
    return file


@pytest.fixture
def no_default_dispatcher() -> Iterator[None]:
    yield
    set_default_dispatcher(None)


@pytest.mark.usefixtures("no_default_dispatcher")
def test_an_applications_own_dispatcher_is_caught_too(config: Path, tmp_path: Path) -> None:
    before = taskqueue.connect(config)
    with Kit() as kit:
        assert taskqueue.connect(config) is before
        handle = before.enqueue(mail, "ann")
        before.enqueue(broken)
        assert [(one.queue, one.handle.status()) for one in kit.enqueued()] == [
            ("mail", Status.ENQUEUED),
            ("rest", Status.ENQUEUED),
        ]
        assert [one.status for one in kit.drain()] == [Status.COMPLETED, Status.ENQUEUED]
        assert before.task_log.status(handle.id) is Status.COMPLETED
        with pytest.raises(UnknownQueue, match="did you mean 'mail'"):
            before.options(queue="mial").enqueue(mail, "ann")
    assert not list(tmp_path.glob("tasks.db*")), "the real store was touched"
    assert before.queues["mail"].broker.capabilities.durable
    real = before.enqueue(mail, "bob")
    assert before.task_log.status(real.id) is Status.ENQUEUED
    before.close()


@pytest.mark.usefixtures("no_default_dispatcher")
def test_the_process_has_its_own_dispatcher_back(config: Path) -> None:
    own = taskqueue.connect(config)
    with Kit():
        assert default_dispatcher() is not own
    assert default_dispatcher() is own
    own.close()


def test_two_kits_at_once_are_refused(kit: Kit) -> None:
    with pytest.raises(TaskQueueError, match="one at a time"), Kit():
        pass


SUITE = """\
    import sys
    from shop import mail, sign_up

    def test_without_the_fixture_nothing_heavy_is_loaded():
        assert not {"sqlalchemy", "alembic", "rich", "click"} & set(sys.modules)

    def test_a_customer_gets_a_mail(taskqueue_testing):
        sign_up("ann")
        (found,) = taskqueue_testing.enqueued(mail)
        assert found.parameters == {"to": "ann"}
        (done,) = taskqueue_testing.drain(raise_failures=True)
        assert done.report.data == "sent to ann"

    def test_the_next_test_starts_empty(taskqueue_testing):
        assert taskqueue_testing.enqueued() == []
    """
SHOP = """\
    from taskqueue import task

    @task
    def mail(to: str) -> str:
        return f"sent to {to}"

    def sign_up(name):
        mail.enqueue(name)
    """


@pytest.mark.process
def test_the_plugin_comes_with_the_package(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(dedent(SHOP))
    (tmp_path / "test_shop.py").write_text(dedent(SUITE))
    suite = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "test_shop.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert suite.returncode == 0, suite.stdout + suite.stderr
    assert "3 passed" in suite.stdout


def test_groups_and_keys_are_shown_and_a_key_is_good_once(kit: Kit) -> None:
    first = mail.options(group="ann", key="order-9").enqueue("ann")
    assert mail.options(group="ann", key="order-9").enqueue("ann") == first
    mail.options(group="ann").enqueue("bob")
    assert [(one.group, one.key) for one in kit.enqueued(mail)] == [("ann", "order-9"), ("ann", None)]
    kit.drain()
    assert ran == [("ann", "Hello"), ("bob", "Hello")]
