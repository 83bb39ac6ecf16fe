"""A worker's place under a master: what the two share.

The worker writes what it does on its scorecard, and reads what is wanted of it. The life pipe tells it both that there
is something new to read (a byte) and that its master is no more (the end of the file): the write end is the master's
alone, and the kernel closes it whatever ends the master.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable

import msgspec

from taskqueue.worker.block import Block
from taskqueue.worker.scorecard import Scorecard

log = logging.getLogger(__name__)


class Wanted(msgspec.Struct, frozen=True):
    """What is wanted of a worker at this moment."""

    #: it, its pool or its host is paused
    paused: bool = False
    #: queues that are paused for the whole fleet, as the keeper read it last
    paused_queues: frozenset[str] = frozenset()


class Place(msgspec.Struct, frozen=True, eq=False):
    """One slot under a master, for one process."""

    #: host/pool/index
    name: str
    scorecard: Scorecard
    #: descriptor: the read end of the life pipe, not blocking
    life: int
    #: descriptor of a file for the stacks of a process that had to be ended
    stacks: int
    #: what is wanted now
    wanted: Callable[[], Wanted]
    #: where it leaves what it has counted
    block: Block | None = None
    #: and what its task logged last, should it die with it
    lines: Block | None = None
    #: called when the master should look at the scoreboard
    ring: Callable[[], None] = lambda: None
    #: called with what people should see in the list of processes, such as "idle"
    title: Callable[[str], None] = lambda _: None

    @property
    def host(self) -> str:
        """The name of its supervisor's host."""
        return self.name.partition("/")[0]


class Ear(threading.Thread):
    """Listens to the master: `heard` is called at once and whenever something may have changed, `orphaned` once."""

    def __init__(self, place: Place, *, heard: Callable[[Wanted], None], orphaned: Callable[[], None]) -> None:
        super().__init__(name="ear", daemon=True)
        self._place = place
        self._heard = heard
        self._orphaned = orphaned
        self._read, self._write = os.pipe()

    def do(self) -> None:
        """One look at what is wanted."""
        self._heard(self._place.wanted())

    def run(self) -> None:
        """The thread's life."""
        watched = [self._place.life, self._read]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if self._read in ready:
                return
            if self._place.life in ready and not drain(self._place.life):
                watched.remove(self._place.life)
                log.warning("the supervisor is gone; this worker leaves after its current task")
                self._orphaned()
            self.do()

    def stop(self) -> None:
        """End the thread."""
        os.write(self._write, b"\0")
        if self.is_alive():
            self.join()
        os.close(self._read)
        os.close(self._write)


def drain(life: int) -> bool:
    """Read what rang; False at the end of the file: nobody will ring any more."""
    try:
        return bool(os.read(life, 4096))
    except BlockingIOError:
        return True
