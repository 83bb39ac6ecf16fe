"""Tells whoever wants to know how the fleet is: systemd (sd_notify), and Prometheus by a file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from supervisor import metrics
from supervisor.fleet import Fleet
from supervisor.notify import Notifier
from supervisor.wants import Wants
from taskqueue.snapshot import Snapshot

log = logging.getLogger(__name__)

#: seconds between two writes of the metrics file
METRICS_EVERY = 5.0
#: what a stop may take beside `grace`, in seconds
MARGIN = 10.0


class Herald:
    """One master's. `snapshot` draws the fleet."""

    def __init__(self, fleet: Fleet, wants: Wants, snapshot: Callable[[], Snapshot]) -> None:
        self._fleet = fleet
        self._wants = wants
        self._snapshot = snapshot
        self._notifier = Notifier()
        self._ready = self._stopping = False
        self._status = ""
        self._alive_at = self._metrics_at = 0.0
        self._unwritten: str | None = None

    @property
    def period(self) -> float:
        """How often, in seconds, it must be given a turn."""
        return self._notifier.period or float("inf")

    def tick(self, now: float) -> None:
        """Tell what is new, or due."""
        if self._notifier.listened_to:
            self._tell_systemd(now)
        if self._wants.settings.supervisor.metrics_file is not None and now >= self._metrics_at:
            self._metrics_at = now + METRICS_EVERY
            self._write_metrics()

    @contextmanager
    def around_reload(self) -> Iterator[None]:
        """Inside, the configuration is read again; be it refused, that is over at the end."""
        if self._ready:
            self._notifier.reloading()
        try:
            yield
        finally:
            if self._ready:
                self._notifier.ready(self._line())

    def leave(self) -> None:
        """Nothing is true any more of what the metrics say."""
        if (path := self._wants.settings.supervisor.metrics_file) is not None:
            with suppress(OSError):
                path.unlink()

    def _tell_systemd(self, now: float) -> None:
        line = self._line()
        if self._wants.stopping and not self._stopping:
            self._stopping = True
            self._notifier.stopping(line)
            self._notifier.extend(self._wants.settings.supervisor.grace + MARGIN)
        elif not self._ready and not self._wants.stopping and self._fleet.settled:
            self._ready = True
            self._notifier.ready(line)
        elif line != self._status:
            self._notifier.status(line)
        self._status = line
        if self._notifier.period is not None and now >= self._alive_at:
            self._alive_at = now + self._notifier.period
            self._notifier.alive()

    def _line(self) -> str:
        wanted = sum(pool.wanted for pool in self._fleet.worker_pools)
        up = sum(pool.up for pool in self._fleet.worker_pools)
        paused = ", paused" if self._fleet.paused else ""
        return f"{up} of {wanted} workers up{paused}{', stopping' if self._wants.stopping else ''}"

    def _write_metrics(self) -> None:
        path = self._wants.settings.supervisor.metrics_file
        assert path is not None
        wrong = metrics.write(path, metrics.render(self._snapshot()))
        if wrong and wrong != self._unwritten:
            log.error("%s", wrong)
        self._unwritten = wrong
