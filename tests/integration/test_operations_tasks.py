"""What is done to one task, to many, to all that a search finds: each outcome by name, and one owner's only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from taskqueue import Status
from taskqueue.app import App
from taskqueue.errors import InvalidArguments, QueueFull, UnknownEntry, UnknownQueue, UnknownTask
from taskqueue.ids import new_id
from taskqueue.operations import tasks
from taskqueue.operations.tasks import Outcome
from taskqueue.settings import parse
from taskqueue.tasklog.entry import Filter, Op, Search
from taskqueue.worker.leaving import Limits
from tests.support.servers import server_database
from tests.support.statements import asked

CONFIG = """
[app]
modules = ["tests.support.errands"]
[brokers.main]
url = "{url}"
[queues.default]
[queues.narrow]
max_waiting = 2
"""
ADD, GIVE_UP = "tests.support.errands:add", "tests.support.errands:give_up"
FAILED = Search(filters=(Filter("status", Op.EQ, Status.FAILED),))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., App]]:
    with ExitStack() as stack:

        def open_(kind: str = "sqlite", config: str = CONFIG) -> App:
            url = f"sqlite:///{tmp_path}/tasks.db" if kind == "sqlite" else server_database(kind)
            app = App(parse(config.format(url=url), file=tmp_path / "taskqueue.toml"))
            stack.callback(app.close)
            app.import_modules()
            return app

        yield open_


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def app(opened: Callable[..., App], request: pytest.FixtureRequest) -> App:
    return opened(request.param)


def enqueue(app: App, name: str = ADD, **options) -> str:
    typed = {"a": 1} if name == ADD else {"text": "no"}
    return tasks.enqueue_registered(app, name, typed, options).id


def drain(app: App) -> None:
    """Run all that is due, as a worker does."""
    app.worker(list(app.queues), Limits(drain=True)).run()


def status(app: App, task_id: str) -> Status:
    return app.task_log.status(task_id)


def test_each_outcome_of_a_cancel_has_its_name(app):
    ended = enqueue(app)
    drain(app)
    waiting, missing = enqueue(app), new_id()
    (batch,) = tasks.changes(app, app.task_log, "cancel", [waiting, ended, missing, waiting])
    assert {one.id: one.outcome for one in batch} == {
        waiting: Outcome.CANCELLED,
        ended: Outcome.TOO_LATE,
        missing: Outcome.MISSING,
    }


def test_each_outcome_of_an_archive_has_its_name(app):
    first, second = enqueue(app), enqueue(app)
    drain(app)
    waiting, missing = enqueue(app), new_id()
    assert tasks.change(app, app.task_log, "archive", first) == Counter({Outcome.ARCHIVED: 1})
    counts = tasks.change(app, app.task_log, "archive", [first, second, waiting, missing, "no id at all\0"])
    assert counts == Counter({Outcome.ARCHIVED: 2, Outcome.OPEN: 1, Outcome.MISSING: 2})
    assert status(app, second) is Status.ARCHIVED


def test_each_outcome_of_a_retry_has_its_name(app):
    failed = enqueue(app, GIVE_UP, owner="ann")
    drain(app)
    waiting, missing = enqueue(app), new_id()
    (batch,) = tasks.changes(app, app.task_log, "retry", [failed, waiting, missing])
    outcomes = {one.id: one.outcome for one in batch}
    assert outcomes == {failed: Outcome.RETRIED, waiting: Outcome.OPEN, missing: Outcome.MISSING}
    again = app.task_log.get(batch[0].made)
    assert (again.retry_of, again.owner, again.status) == (failed, "ann", Status.ENQUEUED)
    assert [one.made for one in batch[1:]] == [None, None]


def test_all_that_a_search_finds_is_repeated_once_with_progress(app, monkeypatch):
    """In batches, and what fails again meanwhile is not met on the way."""
    monkeypatch.setattr(tasks, "BATCH", 3)
    for _ in range(8):
        enqueue(app, GIVE_UP)
    drain(app)
    heard: list[int] = []

    def progress(done: int) -> None:
        heard.append(done)
        drain(app)

    assert tasks.change(app, app.task_log, "retry", FAILED, progress=progress) == Counter({Outcome.RETRIED: 8})
    assert heard == [3, 6, 8]
    assert app.task_log.stats()["default"] == {Status.FAILED: 16}


def test_a_retry_of_many_is_one_transaction_a_batch(opened):
    app = opened()
    ids = [enqueue(app, GIVE_UP) for _ in range(30)]
    drain(app)
    tasks.change(app, app.task_log, "retry", ids[:10])
    with asked() as few:
        tasks.change(app, app.task_log, "retry", ids[:1])
    with asked() as many:
        tasks.change(app, app.task_log, "retry", ids)
    # A look for each of them, and all else once.
    assert len(many) <= len(few) + len(ids)


def test_who_stops_asking_stops_it_between_two_batches(opened, monkeypatch):
    app = opened()
    monkeypatch.setattr(tasks, "BATCH", 2)
    ids = [enqueue(app) for _ in range(6)]
    changes = tasks.changes(app, app.task_log, "cancel", ids)
    assert len(next(changes)) == 2
    changes.close()
    assert app.task_log.stats()["default"] == {Status.CANCELLED: 2, Status.ENQUEUED: 4}


@pytest.mark.parametrize("action", ["cancel", "archive", "retry"])
def test_another_owner_s_tasks_are_as_if_they_were_not_there(app, action):
    ours, theirs = (enqueue(app, owner=owner) for owner in ("ann", "bob"))
    if action != "cancel":
        drain(app)
    view = app.task_log.for_owner("ann")
    before = app.task_log.get(theirs)
    counts = tasks.change(app, view, action, [ours, theirs])
    assert (counts[Outcome.MISSING], counts.total()) == (1, 2)
    with pytest.raises(UnknownEntry):
        tasks.change(app, view, action, theirs)
    tasks.change(app, view, action, Search())
    assert app.task_log.get(theirs) == before
    assert [entry.id for entry in app.task_log.search(owner="bob").entries] == [theirs]


def test_a_batch_that_cannot_be_repeated_whole_is_not_repeated_at_all(opened):
    app = opened()
    ids = [enqueue(app, queue="narrow") for _ in range(2)]
    drain(app)
    assert tasks.change(app, app.task_log, "retry", ids)[Outcome.RETRIED] == 2
    with pytest.raises(QueueFull):
        tasks.change(app, app.task_log, "retry", ids)
    assert app.task_log.stats()["narrow"] == {Status.COMPLETED: 2, Status.ENQUEUED: 2}
    smaller = opened(config=CONFIG.partition("[queues.narrow]")[0])
    with pytest.raises(UnknownQueue, match="narrow"):
        tasks.change(smaller, smaller.task_log, "retry", ids)


def test_a_registered_task_is_enqueued_with_its_parameters_checked(opened):
    app = opened()
    handle = tasks.enqueue_registered(app, ADD, {"a": "4"}, {"label": "four"})
    assert app.task_log.get(handle.id).label == "four"
    with pytest.raises(InvalidArguments):
        tasks.enqueue_registered(app, ADD, {"a": "four"})
    with pytest.raises(InvalidArguments):
        tasks.enqueue_registered(app, ADD, {"a": 1, "z": 1})
    with pytest.raises(UnknownTask, match="did you mean"):
        tasks.enqueue_registered(app, ADD.replace("add", "ad"), {"a": 1})
    with pytest.raises(InvalidArguments):
        tasks.enqueue_registered(app, ADD, {"a": 1}, {"colour": "red"})
    assert len(app.task_log.search().entries) == 1
