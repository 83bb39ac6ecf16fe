"""The last lines that a task logs, kept beside its run and stored with its attempt if that does not end well.

A task that logs nothing costs nothing: the first record makes the buffer.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from taskqueue.context import context
from taskqueue.logs import TASK_FACTS, TextFormatter
from taskqueue.visible import storable
from taskqueue.worker.block import Block

if TYPE_CHECKING:
    from taskqueue.worker.inbox import Work

#: so many lines are kept, of so many bytes together; of one record so many characters, and of its exception no more
LINES, SIZE, RECORD = 50, 8192, 2000
#: what they take in shared memory at most, with the id of their task
ROOM = SIZE + 128
#: our own records of a run say what its attempt says already
_OURS = ("taskqueue", "supervisor")


class LastLines:
    """The last lines of one run. One writer at a time (a log handler's lock), any reader."""

    def __init__(self) -> None:
        self._lines: deque[tuple[str, int]] = deque()
        self._size = 0

    def add(self, text: str) -> None:
        """Keep these lines, and let go of the oldest that have no room beside them."""
        for line in text.splitlines():
            size = len(line.encode()) + 1
            self._lines.append((line, size))
            self._size += size
        while len(self._lines) > LINES or self._size > SIZE:
            self._size -= self._lines.popleft()[1]

    @property
    def text(self) -> str:
        """The lines."""
        return "\n".join(line for line, _ in tuple(self._lines))


@contextmanager
def keeping(current: Callable[[], Work | None], *, room: Block | None = None) -> Iterator[None]:
    """Inside, the root logger's records are kept with the `current` work; in `room`, too, for whoever finds us dead.

    Where logging is not set up nothing is: a handler of ours would take the place of Python's last resort.
    """
    root = logging.getLogger()
    if not root.handlers:
        yield
        return
    handler = KeepLast(current, room)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


class KeepLast(logging.Handler):
    """Gives the work that runs what it logs: in its thread, its coroutines, and in `asyncio.to_thread`.

    A thread that a task starts by itself has no context (`taskqueue.context`): its records are kept if they say
    `extra={"task_id": ...}`.
    """

    def __init__(self, current: Callable[[], Work | None], room: Block | None = None) -> None:
        super().__init__()
        self._current = current
        self._room = room
        self.setFormatter(TextFormatter(left_out=TASK_FACTS, longest=RECORD))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, if it is the running task's."""
        task_id = context.id if context.active else getattr(record, "task_id", None)
        if task_id is None or record.name.partition(".")[0] in _OURS:
            return
        work = self._current()
        if work is None or work.id != task_id:
            return  # what an earlier task left behind
        try:
            text = storable(self.format(record))
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001  # logging's own rule: a record that cannot be written harms nobody
            self.handleError(record)
            return
        lines = work.lines = work.lines or LastLines()
        lines.add(text)
        if self._room is not None:
            self._room.write(f"{work.id}\n{lines.text}".encode())


def logged(body: bytes | None, task_id: str) -> str:
    """What that task logged last, from such a room; nothing, if what stands there is another's."""
    of, _, text = (body or b"").decode(errors="replace").partition("\n")
    return text if of == task_id else ""
