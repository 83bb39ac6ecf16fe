"""An application that enqueues tasks of mixed length, whatever happens around it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from random import Random

from taskqueue.errors import BrokerUnavailable
from taskqueue.ids import new_id
from tests.support import tasks
from tests.support.hosts import Host
from tests.support.ledger import Ledger


class Producer(threading.Thread):
    """`count` tasks by the hosts in turn, never more than `ahead` that have not run. What failed is repeated (P1).

    `lengths`: seconds that a task takes at most, and how often beside the others.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        ledger: Ledger,
        *,
        seed: int,
        count: int,
        ahead: int,
        lengths: Mapping[float, int],
    ) -> None:
        super().__init__(name="producer", daemon=True)
        self.enqueued: set[str] = set()
        self.refused = 0
        self.error: BaseException | None = None
        self._hosts = hosts
        self._ledger = ledger
        self._random = Random(seed)
        self._count = count
        self._ahead = ahead
        self._lengths = lengths
        self._over = threading.Event()

    def run(self) -> None:
        """The thread's life."""
        try:
            for _, host in zip(range(self._count), itertools.cycle(self._hosts), strict=False):
                while len(self.enqueued) - len(self._ledger.ended) >= self._ahead:
                    if self._over.wait(0.01):
                        return
                (most,) = self._random.choices([*self._lengths], [*self._lengths.values()])
                self._enqueue(host, most * self._random.random())
        except BaseException as error:  # noqa: BLE001  # the story tells of it
            self.error = error

    def _enqueue(self, host: Host, seconds: float) -> None:
        task_id = new_id()
        self.enqueued.add(task_id)
        while not self._over.is_set():
            try:
                host.queue.options(id=task_id).enqueue(tasks.traced, str(self._ledger.path), seconds)
                return
            except BrokerUnavailable:
                self.refused += 1
                self._over.wait(0.05)

    def end(self) -> None:
        """Enqueue nothing more."""
        self._over.set()
        if self.is_alive():
            self.join(30)
