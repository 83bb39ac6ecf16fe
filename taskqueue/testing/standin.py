"""Standing in: for as long as a test lasts, every dispatcher of the process stores in the test's queues and no other.

Code under test has its dispatcher from wherever it likes: `mail.enqueue()`, a module's own `queue = connect()`, one
that it makes while the test runs. Each keeps its queues' names and limits, its routes and its default queue; what
stands behind them is the kit's. A property of the class comes before what an instance holds, and when it is gone the
instance is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from taskqueue.dispatcher import QueueDispatcher
from taskqueue.errors import TaskQueueError
from taskqueue.filing import Filed
from taskqueue.queue import Parent, Queue
from taskqueue.task import function


@contextmanager
def standing_in(dispatcher: QueueDispatcher, stand_for: Callable[[Queue], Queue]) -> Iterator[None]:
    """Have every dispatcher use the stores of this one, which is the process's own for so long.

    `stand_for` gives the queue in which is stored what was meant for another.
    """
    if hasattr(QueueDispatcher, "task_log"):
        raise TaskQueueError("this process has a test kit that has not ended yet; there can be one at a time")
    own_put, own_provider = QueueDispatcher._put, function._provider  # noqa: SLF001  # to give them back

    def put(_: Any, filed: Sequence[Filed], *, parent: Parent | None = None, **_connection: Any) -> dict[str, str]:
        return own_put(dispatcher, [replace(f, queue=stand_for(f.queue)) for f in filed], parent=parent)

    stores: dict[str, Any] = {name: _always(name, getattr(dispatcher, name)) for name in ("task_log", "clock")}
    function.set_default_dispatcher(lambda: dispatcher)
    try:
        with patch.multiple(QueueDispatcher, create=True, _put=put, **stores):
            yield
    finally:
        function.set_default_dispatcher(own_provider)


def _always(name: str, value: Any) -> property:
    def keep(dispatcher: QueueDispatcher, own: Any) -> None:
        dispatcher.__dict__[name] = own  # of one that is made while the test runs

    return property(lambda _: value, keep)
