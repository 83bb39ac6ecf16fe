"""Long polling that an interrupt ends at once.

A long poll *is* leasing (R8): what it brings belongs to this process already. So it goes on in a thread of its own, and
who waits waits for that thread. Where nobody waits any more when something arrives, it goes back at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from taskqueue.brokers.lanes import Pipe
from taskqueue.brokers.waiting import sleep
from taskqueue.errors import TaskQueueError
from taskqueue.message import Delivery


class LongPoll:
    """`receive` waits up to so many seconds for messages; `give_back` makes them visible again."""

    def __init__(self, receive: Callable[[int], list[Delivery]], give_back: Callable[[list[Delivery]], object]) -> None:
        self._receive, self._give_back = receive, give_back
        self._lock = threading.Lock()
        self._buffer: list[Delivery] = []
        self._bells: list[Pipe] = []
        self._thread: threading.Thread | None = None
        self._error: TaskQueueError | None = None

    def put(self, deliveries: list[Delivery]) -> None:
        """Keep these for the next `take`."""
        with self._lock:
            self._buffer += deliveries

    def take(self, limit: int) -> list[Delivery]:
        """What has arrived, up to `limit`."""
        with self._lock:
            taken, self._buffer = self._buffer[:limit], self._buffer[limit:]
        return taken

    @property
    def ready(self) -> bool:
        """Something has arrived."""
        return bool(self._buffer)

    @property
    def going_on(self) -> bool:
        """SQS is being asked at this moment: what comes will be known without asking again."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, timeout: float, interrupt: int | None, *, longest: int) -> bool:
        """Whether something arrives within `timeout` seconds; False at once when `interrupt` is readable."""
        deadline, bell = time.monotonic() + timeout, Pipe()
        try:
            with self._lock:
                self._bells.append(bell)
            while not self._buffer:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._poll(min(longest, max(1, int(left + 0.999))))
                if interrupt in sleep(bell, left, interrupt):
                    self.give_back()
                    return False
        finally:
            with self._lock:
                self._bells.remove(bell)
            bell.close()
        return bool(self._buffer)

    def _poll(self, seconds: int) -> None:
        with self._lock:
            error, self._error = self._error, None
            if error is not None:
                raise error
            # Not "is None": of a fork's parent, or of one that broke, only the name is left.
            if not self.going_on and not self._buffer:
                self._thread = threading.Thread(target=self._run, args=(seconds,), name="sqs-poll", daemon=True)
                self._thread.start()

    def _run(self, seconds: int) -> None:
        found: list[Delivery] = []
        error: TaskQueueError | None = None
        try:
            found = self._receive(seconds)
        except TaskQueueError as reason:
            error = reason
        with self._lock:
            self._thread = None
            wanted = bool(self._bells)
            if wanted:
                self._buffer += found
                self._error = error
            for bell in self._bells:
                bell.ring()
        if found and not wanted:
            self._give_back(found)

    def give_back(self) -> None:
        """Make visible again what nobody has taken."""
        left = self.take(len(self._buffer))
        if left:
            self._give_back(left)

    def close(self, within: float) -> None:
        """Give back what came; what a poll under way may still bring it gives back itself, if it ends in time."""
        thread = self._thread
        if thread is not None:
            thread.join(within)
        self.give_back()
