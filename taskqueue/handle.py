"""What enqueuing returns: the task's id, and questions to the task log about it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from taskqueue.errors import ResultNotReady, TaskFailed
from taskqueue.report import Report
from taskqueue.status import Status
from taskqueue.tasklog.entry import Attempt, Cancellation

if TYPE_CHECKING:
    from taskqueue.tasklog.reading import TaskLog

R = TypeVar("R")
#: `wait` asks the log so often, in seconds: at first, and at the slowest
_FIRST_ASK, _SLOWEST_ASK = 0.005, 0.5


class Handle(Generic[R]):
    """An enqueued task, as its application sees it. Always true; safe to keep, pickle nothing, store `id`."""

    __slots__ = ("_log", "_revive", "id")

    def __init__(self, task_id: str, task_log: TaskLog, revive: Callable[[Any], Any] = lambda result: result) -> None:
        self.id = task_id
        self._log = task_log
        self._revive = revive

    def __repr__(self) -> str:
        return f"Handle({self.id!r})"

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def status(self) -> Status:
        """Where the task stands now. Raises UnknownEntry if it was purged (or its enqueuing was rolled back)."""
        return self._log.status(self.id)

    def report(self) -> Report | None:
        """The task's report, None before it has ended."""
        return self._log.report(self.id)

    def wait(self, timeout: float | None = None) -> Status:
        """Wait until the task has ended; its status. Raises TimeoutError after `timeout` seconds (None: never)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_ASK
        while not (status := self.status()).ended:
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"task {self.id} is still {status.label} after {timeout:g} s")
                pause = min(pause, left)
            time.sleep(pause * random.uniform(0.75, 1.0))  # noqa: TID251  # a log can only be asked
            pause = min(_SLOWEST_ASK, pause * 1.5)
        return status

    def result(self, timeout: float = 0.0) -> R:
        """What the task returned, waiting for it up to `timeout` seconds.

        Raises ResultNotReady if it has not ended by then, TaskFailed (with its report) if it ended badly.
        """
        try:
            status = self.wait(timeout)
        except TimeoutError as error:
            raise ResultNotReady(f"{error}; wait(timeout=...) waits for it") from None
        report = self.report()
        if status in (Status.FAILED, Status.CANCELLED):
            text = report.message if report else "no report"
            raise TaskFailed(f"task {self.id} {status.label}: {text}", report)
        return cast("R", self._revive(report.data if report else None))

    def progress(self) -> dict[str, Any] | None:
        """How far the task said it is (`done`, `total`, `message`); None if it said nothing."""
        progress = self._log.get(self.id).progress
        return msgspec.json.decode(progress, type=dict[str, Any]) if progress is not None else None

    def attempts(self) -> list[Attempt]:
        """Its attempts that did not end well, oldest first, each with its cause."""
        return self._log.attempts(self.id)

    def cancel(self, *, force: bool = False) -> Cancellation:
        """Cancel the task (P12): what was done, a `Cancellation`. Raises UnknownEntry if it is not there."""
        return self._log.cancel(self.id, force=force)[self.id]
