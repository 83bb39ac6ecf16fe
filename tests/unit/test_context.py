from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

import taskqueue
from taskqueue.context import RunContext, context, enter, leave
from taskqueue.errors import InvalidArguments, TaskQueueError
from taskqueue.task import AbstractTask, task


@task
def resize(file: str, *, key: str = "") -> None: ...


class Run(RunContext):
    id, name, queue, worker, attempt, fence = "i", "n", "q", "w", 2, 7

    def __init__(self) -> None:
        self.owner = "ann"
        self.said: list[Any] = []

    cancel_requested = True
    stopping = False

    def report_progress(self, done: float, total: float | None, message: str) -> None:
        self.said.append((done, total, message))

    def spawn(self, tasks: Sequence[AbstractTask], keys: Sequence[str | None]) -> list[Any]:
        return [(dict(made.parameters), key) for made, key in zip(tasks, keys, strict=True)]


@pytest.fixture
def run() -> Iterator[Run]:
    run = Run()
    token = enter(run)
    yield run
    leave(token)


@pytest.mark.usefixtures("run")
def test_a_task_knows_its_run() -> None:
    assert (context.id, context.name, context.queue, context.worker) == ("i", "n", "q", "w")
    assert (context.attempt, context.fence, context.owner, context.parent) == (2, 7, "ann", None)
    assert context.cancel_requested
    assert not context.stopping
    assert context.active


def test_progress_goes_to_the_worker(run: Run) -> None:
    context.progress(3)
    context.progress(4, 10, "half way")
    assert run.said == [(3, None, ""), (4, 10, "half way")]


ODD_PROGRESS = [
    ({"done": "3"}, TypeError, "done is of type str; it must be a number"),
    ({"done": None}, TypeError, "done is of type NoneType"),
    ({"done": True}, TypeError, "done is of type bool"),
    ({"done": float("nan")}, ValueError, "done is nan"),
    ({"done": 1, "total": float("inf")}, ValueError, "total is inf"),
    ({"done": 1, "total": 10**400}, ValueError, "total is 1000"),
    ({"done": 1, "total": "7"}, TypeError, "total is of type str"),
    ({"done": 1, "message": b"photos"}, TypeError, "message is of type bytes; it must be text"),
    ({"done": 1, "message": None}, TypeError, "message is of type NoneType"),
]


@pytest.mark.parametrize(("said", "error", "text"), ODD_PROGRESS, ids=[text for _, _, text in ODD_PROGRESS])
def test_a_progress_that_is_none_is_an_error_in_the_task(
    run: Run, said: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        context.progress(**said)
    assert run.said == []


def test_a_progress_s_odd_text_is_made_storable(run: Run) -> None:
    """File names are what is told most often, and they may hold anything."""
    context.progress(1, message="photo \ud800\0.jpg")
    context.progress(2, message="x" * 100_000)
    assert run.said[0] == (1, None, r"photo \ud800\0.jpg")
    assert len(run.said[1][2]) < 1100


@pytest.mark.usefixtures("run")
def test_children_are_created_from_calls_and_tasks() -> None:
    assert context.create_child(resize, "a", key="of the function") == ({"file": "a", "key": "of the function"}, None)
    assert context.create_child(resize.bind("a"), key="of the child") == ({"file": "a"}, "of the child")
    assert context.create_children(resize.bind(file) for file in "ab") == [({"file": "a"}, None), ({"file": "b"}, None)]
    assert context.create_children([]) == []


@pytest.mark.usefixtures("run")
def test_a_child_whose_arguments_do_not_fit_is_refused() -> None:
    with pytest.raises(InvalidArguments, match="has no parameter 'fiel'"):
        context.create_child(resize, "a", fiel="b")


def test_outside_of_a_task_that_is_said() -> None:
    assert not context.active
    with pytest.raises(TaskQueueError, match="use it inside a task"):
        context.progress(1)
    with pytest.raises(TaskQueueError, match="use it inside a task"):
        assert context.id


@pytest.mark.usefixtures("run")
def test_coroutines_and_their_threads_see_it() -> None:
    async def story() -> list[str]:
        return [context.id, await asyncio.to_thread(lambda: context.id), await asyncio.create_task(deeper())]

    async def deeper() -> str:
        return context.id

    assert asyncio.run(story()) == ["i", "i", "i"]


def test_it_is_what_the_package_exports() -> None:
    assert taskqueue.context is context
    assert callable(taskqueue.task)
