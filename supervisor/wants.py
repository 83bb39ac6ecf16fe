"""What is wanted of the fleet as a whole: by the configuration, by signals, by a stop. The plan makes it so."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from supervisor.fleet import Fleet
from supervisor.ladder import Rung
from supervisor.slot import Paused
from supervisor.wishes import wishes
from taskqueue.clock import Clock
from taskqueue.errors import EXIT_CONFIGURATION, ConfigurationError
from taskqueue.settings import Settings
from taskqueue.worker.orders import SAME

log = logging.getLogger(__name__)

#: how long who runs no task may take to leave, in seconds
ATTENDANTS_GRACE = 5.0
#: keys of [supervisor] that are read once
_FIXED = ("host", "pidfile", "control_socket", "user", "group", "umask")


class Wants:
    """The wants of one master: `settings` hold, `load` reads them again."""

    def __init__(self, settings: Settings, load: Callable[[], Settings], fleet: Fleet, clock: Clock) -> None:
        self.settings = settings
        self._load = load
        self._fleet = fleet
        self._clock = clock
        #: how far the whole was told to go
        self.stop_rung = Rung.NONE
        self.exit_code = 0
        #: when the first TERM or INT came; a second one means now
        self._insisted_at: float | None = None
        #: why the last reload was refused; empty if it was not
        self.refused = ""
        #: entered while the configuration is read again
        self.around_reload: Callable[[], AbstractContextManager[None]] = nullcontext

    def begin(self) -> None:
        """Want what the settings say. Raises ConfigurationError."""
        self._want(self.settings)

    def obey(self, number: signal.Signals) -> None:
        """Follow a signal."""
        match number:
            case signal.SIGTERM | signal.SIGINT:
                self._insist(number.name)
            case signal.SIGQUIT:
                self.stop(now=False, by=number.name)
            case signal.SIGHUP:
                self._reload_by_signal()
            case signal.SIGUSR2:
                self._fleet.paused = self._fleet.paused or Paused("signal", self._clock.micros() / 1e6)
                log.info("SIGUSR2 received: paused")
            case signal.SIGCONT:
                self._fleet.paused = None
                log.info("SIGCONT received: working")

    # Stopping

    def _insist(self, by: str) -> None:
        """Only a second TERM or INT means now (P5), and one that comes at once is the same: see `SAME`."""
        now = self._clock.monotonic()
        again = self._insisted_at is not None and now > self._insisted_at + SAME
        self._insisted_at = now if self._insisted_at is None else self._insisted_at
        self.stop(now=again, by=by)

    @property
    def stopping(self) -> bool:
        """Nobody is wanted any more."""
        return self.stop_rung is not Rung.NONE

    def stop(self, *, now: bool, by: str = "a command") -> None:
        """Let every worker end its task, for `[supervisor] grace` seconds at most; or end it now."""
        rung = Rung.NOW if now else Rung.TERM
        if rung <= self.stop_rung:
            return
        self.stop_rung = rung
        log.info("%s: leaving %s", by, "now" if now else "after the current tasks")
        # Who is leaving already, without hurry, may stay only for as long as a stop lets it.
        until = self._clock.monotonic() + self.patience
        for child in self._fleet.children:
            child.hurry(until)

    @property
    def patience(self) -> float:
        """How long a process may take over its task that is told to go, in seconds (R19)."""
        match self.stop_rung:
            case Rung.NONE:
                return float("inf")
            case Rung.TERM:
                return self.settings.supervisor.grace
            case _:
                return 0.0

    def patience_with(self, *, attendant: bool) -> float:
        """The same for one process: the keeper and the web server, which run no task, are never waited for."""
        return min(ATTENDANTS_GRACE, self.patience) if attendant else self.patience

    def give_up_if_hopeless(self) -> None:
        """Leave when pools cannot ever start, if that is wanted ([supervisor] exit_when)."""
        when = self.settings.supervisor.exit_when
        pools = [pool for pool in self._fleet.worker_pools if pool.wanted]
        hopeless = [pool.hopeless for pool in pools]
        if self.stopping or not pools or when == "never" or not (any if when == "any" else all)(hopeless):
            return
        log.critical("workers cannot ever start ([supervisor] exit_when = %r)", when)
        self.exit_code = EXIT_CONFIGURATION
        self.stop(now=False, by="exit_when")

    # The configuration

    def reload(self) -> str:
        """Read the configuration again; what came of it. Raises ConfigurationError; the old one is kept then."""
        before = self.settings
        try:
            with self.around_reload():
                self._want(self._load())
        except ConfigurationError as error:
            self.refused = f"reload refused, the configuration of before holds: {error}".replace("\n", "; ")
            raise
        self.refused = ""
        old, new = before.supervisor, self.settings.supervisor
        kept = [key for key in _FIXED if getattr(old, key, None) != getattr(new, key, None)]
        said = "configuration read again" + (f"; a new {' and '.join(kept)} needs a restart" if kept else "")
        log.info("%s", said, extra={"pools": str(self._fleet)})
        return said

    def _reload_by_signal(self) -> None:
        if self.stopping:
            return
        try:
            self.reload()
        except ConfigurationError:
            log.error("%s", self.refused)

    def _want(self, settings: Settings) -> None:
        found = wishes(settings)
        if not any(wish.workers for wish in found.values() if wish.works):
            raise ConfigurationError(
                f"{settings.file}: no queue needs a worker here: tasks of memory:// run where they are enqueued, and "
                "every other queue has workers = 0; set [queues.NAME] workers"
            )
        self.settings = settings
        self._fleet.become(found)
