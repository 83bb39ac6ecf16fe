"""A store that is away: wait with a capped, jittered back-off; one line when it goes, one when it is back (P15)."""

from __future__ import annotations

import logging
from random import Random

log = logging.getLogger(__name__)
FIRST, CAP = 0.1, 5.0


class Outage:
    """Whether the store is away, and when to try it again."""

    def __init__(self, random: Random | None = None) -> None:
        self._random = random or Random()
        self._since: float | None = None
        self._tries = 0
        #: monotonic time before which the store is not asked
        self.until = 0.0

    @property
    def on(self) -> bool:
        """The last try failed."""
        return self._since is not None

    def failed(self, now: float, error: Exception) -> None:
        """A try failed."""
        if self._since is None:
            self._since = now
            log.error("store away: %s; the worker waits and keeps its reports", error)
        wait = min(CAP, FIRST * 2**self._tries)
        self._tries = min(self._tries + 1, 10)
        self.until = now + wait * self._random.uniform(0.5, 1.0)

    def worked(self, now: float) -> None:
        """A try worked."""
        if self._since is not None:
            log.warning("store back after %.1f s", now - self._since)
            self._since, self._tries, self.until = None, 0, 0.0
