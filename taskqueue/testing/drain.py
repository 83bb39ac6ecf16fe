"""Running what was caught: one task after the other, in the test's own thread, by the worker's own runner."""

from __future__ import annotations

from typing import Any, Self

import msgspec

from taskqueue import codec
from taskqueue.context import Context
from taskqueue.dispatcher import QueueDispatcher
from taskqueue.errors import TaskInterrupt
from taskqueue.handle import Handle
from taskqueue.hooks import HOOKS
from taskqueue.queue import Finished, Held, Queue
from taskqueue.registry import Registry
from taskqueue.report import Report
from taskqueue.status import Status
from taskqueue.tasklog.entry import Outcome
from taskqueue.worker.inbox import Work
from taskqueue.worker.run import Run
from taskqueue.worker.runner import Runner
from taskqueue.worker.unpack import unpack

WORKER = "test"
NEVER = float("inf")


class Ran(msgspec.Struct, frozen=True):
    """One run of a task. `status` is what followed (`ENQUEUED`: it runs again), `report` what this run answered."""

    name: str
    handle: Handle[Any]
    status: Status
    report: Report | None

    @property
    def id(self) -> str:
        """The task's id."""
        return self.handle.id


class Drain:
    """Runs held tasks; `error` is what the last one raised if it failed for good."""

    def __init__(self, dispatcher: QueueDispatcher, registry: Registry) -> None:
        self._dispatcher = dispatcher
        self._registry = registry
        self._runner = Runner(dispatcher.clock, self._context_of)
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        HOOKS.failure.append(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        HOOKS.failure.remove(self._note)
        self._runner.close()

    def run(self, queue: Queue, held: Held) -> Ran:
        """Run one task and store what became of it."""
        self.error = None
        work = unpack(queue, held, self._registry, worker=WORKER, lease_end=NEVER)
        outcome = self._runner.run(work)
        queue.turn([Finished(held.delivery, outcome)], limit=0, lease=queue.limits.lease, worker=WORKER)
        self._pass_on_what_is_not_the_tasks()
        handle = self._dispatcher.handle(work.id)
        return Ran(work.name, handle, handle.status(), _report_of(outcome))

    def _pass_on_what_is_not_the_tasks(self) -> None:
        """Ctrl-C, pytest.fail() and pytest.skip() are no Exception; they are meant for the test, not for the task."""
        if self.error is not None and not isinstance(self.error, Exception | SystemExit | TaskInterrupt):
            raise self.error

    def _note(self, _context: Context, _report: Report, error: BaseException | None) -> None:
        self.error = error

    def _context_of(self, work: Work) -> Run:
        return Run(work, worker=WORKER, spawn=self._dispatcher.spawn, stopping=lambda: False)


def _report_of(outcome: Outcome | None) -> Report | None:
    encoded = outcome and (outcome.report or (outcome.attempt and outcome.attempt.report))
    return codec.decode_report(encoded) if encoded else None
