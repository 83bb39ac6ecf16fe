"""What somebody must do every second, in a thread of its own: a store that keeps it waiting keeps no task waiting."""

from __future__ import annotations

import logging
import threading

from taskqueue.errors import TaskQueueError
from taskqueue.worker.crew import Crew

log = logging.getLogger(__name__)

#: seconds between two rounds, and how long the worker's end waits for one that is under way
PERIOD, PATIENCE = 1.0, 1.0


class Chores(threading.Thread):
    """The keeper's duties where a worker runs alone, and reading which queues are paused."""

    def __init__(self, crew: Crew) -> None:
        super().__init__(name="chores", daemon=True)
        self._crew = crew
        self._over = threading.Event()
        self._waiting = False

    def run(self) -> None:
        """The thread's life."""
        while not self._over.wait(PERIOD):
            self.do()

    def do(self) -> None:
        """One round. That it cannot be done is told once."""
        try:
            self._crew.chores()
        except TaskQueueError as error:
            if not self._waiting:
                log.warning("the keeper's duties wait: %s", error)
            self._waiting = True
        except Exception:
            if not self._waiting:
                log.exception("the keeper's duties failed")
            self._waiting = True
        else:
            self._waiting = False

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        if self.is_alive():
            self.join(PATIENCE)
