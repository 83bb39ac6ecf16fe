"""Queues, the tasks in them, and those who work on them."""

from __future__ import annotations

from collections.abc import Iterator

from taskqueue.app import App
from taskqueue.operations import stuck
from taskqueue.operations.doctor.finding import Finding, ill, well
from taskqueue.operations.queues import QueueState, state_of
from taskqueue.operations.times import local, seconds
from taskqueue.operations.words import count
from taskqueue.queue import Queue


def modules(app: App) -> Iterator[Finding]:
    """The application's code."""
    app.import_modules()
    if len(app.registry):
        yield well(
            "modules", f"{count(len(app.registry), 'task')} in {', '.join(app.settings.app.modules) or 'no modules'}"
        )
    else:
        yield ill("modules", "no task is registered", "name the modules that have @task functions in [app] modules")


def queue(app: App, found: Queue) -> Iterator[Finding]:
    """One queue."""
    name = f"queue {found.name}"
    if found.broker.capabilities.immediate:
        yield well(name, "in memory: tasks run where they are enqueued")
        return
    state = state_of(app, found)
    waits = f"{count(state.waiting, 'task')} waiting" + (
        f", the oldest for {seconds(state.oldest)}" if state.oldest else ""
    )
    yield _paused(name, state) if state.pause else _served(name, state, waits)


def stuck_tasks(app: App) -> Iterator[Finding]:
    """Tasks that nobody would ever work on."""
    found = list(stuck.find(app, limit=100))
    if found:
        task_id, _, _, _, why = found[0]
        many = "100 or more" if len(found) >= 100 else f"{len(found)}"
        yield ill("stuck tasks", f"{many}, e.g. {task_id}: {why}", "`taskqueue stuck list`, `taskqueue stuck restart`")
    else:
        yield well("stuck tasks", "none")


def _paused(name: str, state: QueueState) -> Finding:
    assert state.pause is not None
    since = f"paused since {local(state.pause.at)} by {state.pause.by or 'somebody'}"
    if not state.waiting:
        return well(name, since)
    return ill(
        name,
        f"{since}; {count(state.waiting, 'task')} waiting",
        f"`taskqueue queues resume {state.queue}` if it was forgotten",
    )


def _served(name: str, state: QueueState, waits: str) -> Finding:
    if state.workers == 0 and state.waiting:
        return ill(name, f"no worker serves it; {waits}", f"start one: `taskqueue worker {state.queue}`")
    served = "" if state.workers is None else f", served by {count(state.workers, 'worker')}"
    return well(name, f"{waits}{served}")
