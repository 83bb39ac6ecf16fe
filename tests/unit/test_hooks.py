from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from taskqueue.hooks import HOOKS, Hooks, around_task, on_failure, on_worker_start, on_worker_stop
from taskqueue.report import Report


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Hooks:
    for name in vars(HOOKS):
        monkeypatch.setattr(HOOKS, name, None if name == "tracer" else [])
    return HOOKS


def noted(log: list[str], name: str) -> Callable[[Any], AbstractContextManager[None]]:
    @contextmanager
    def around(_: Any) -> Iterator[None]:
        log.append(f"{name} in")
        try:
            yield
        finally:
            log.append(f"{name} out")

    return around


def test_workers_call_their_hooks_in_order_and_back(hooks: Hooks) -> None:
    log: list[str] = []
    for name in "ab":
        on_worker_start(lambda name=name: log.append(f"start {name}"))
        on_worker_stop(lambda name=name: log.append(f"stop {name}"))
    hooks.started()
    hooks.stopped()
    assert log == ["start a", "start b", "stop b", "stop a"]


def test_a_start_hook_that_breaks_breaks_the_start(hooks: Hooks) -> None:
    on_worker_start(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        hooks.started()


def test_other_hooks_that_break_are_logged(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []
    on_worker_stop(lambda: seen.append("stopped"))
    on_worker_stop(lambda: 1 / 0)
    on_failure(lambda context, report, error: 1 / 0)
    on_failure(lambda context, report, error: seen.append((report.message, error)))
    hooks.stopped()
    hooks.failed(Report.error("broken"), None)
    assert seen == ["stopped", ("broken", None)]
    assert [record.getMessage() for record in caplog.records] == ["hook failed", "hook failed"]


def test_the_process_own_managers_stand_round_the_task_own(hooks: Hooks) -> None:
    log: list[str] = []
    around_task(noted(log, "process"))
    with hooks.around((noted(log, "task"),)):
        log.append("run")
    assert log == ["process in", "task in", "run", "task out", "process out"]


def test_a_task_that_breaks_leaves_its_managers(hooks: Hooks) -> None:
    log: list[str] = []
    around_task(noted(log, "a"))
    with pytest.raises(ZeroDivisionError), hooks.around():
        1 / 0  # noqa: B018  # to raise
    assert log == ["a in", "a out"]


def test_managers_entered_before_one_that_breaks_are_left(hooks: Hooks) -> None:
    log: list[str] = []

    def broken(_: Any) -> AbstractContextManager[None]:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), hooks.around((noted(log, "a"), broken)):
        log.append("run")
    assert log == ["a in", "a out"]


def test_without_hooks_nothing_is_entered(hooks: Hooks) -> None:
    with hooks.around(), hooks.around():
        pass
    hooks.failed(Report.error(), ValueError())
    hooks.clear()
