"""The master: one thread, one loop. Wait, hear, reap, plan, act.

It holds facts (what its children write on the scoreboard, how they ended, the monotonic clock) beside what is wanted
(the configuration, commands, signals); `plan` compares the two. It opens no database and no broker and starts no
thread, so that no outage and no library can keep it from supervising.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
from collections.abc import Callable
from functools import partial
from random import Random

from supervisor.child import Child
from supervisor.commands import Commands
from supervisor.control import Control
from supervisor.fleet import Fleet, Paused, Slot
from supervisor.ladder import Rung
from supervisor.pidfile import Pidfile
from supervisor.plan import INFINITE, Action, Dismiss, Promote, Push, Start, due, plan
from supervisor.preload import preload
from supervisor.reaper import reap
from supervisor.scoreboard import Scoreboard
from supervisor.signals import Signals
from supervisor.snapshot import Snapshot
from supervisor.spawn import CannotFork, Job, Spawner
from supervisor.undertaker import Undertaker
from supervisor.verdict import Exit, Verdict, judge
from supervisor.view import View, pauses
from supervisor.wishes import wishes
from supervisor.work import keep, worker
from taskqueue import __version__
from taskqueue.clock import Clock, SystemClock
from taskqueue.errors import EXIT_CONFIGURATION, ConfigurationError
from taskqueue.settings import Settings

log = logging.getLogger(__name__)

#: how often the master looks at the scoreboard, in seconds: while processes boot, and else
EAGER, LOOK = 0.02, 1.0
#: a look that comes so late, in seconds, says that the host was frozen; for as long nobody else is taken for late
FROZEN = 3.0


class Master:
    """Supervises the fleet of one host, as `settings` say; `load` reads them again."""

    def __init__(self, settings: Settings, load: Callable[[], Settings], *, clock: Clock | None = None) -> None:
        self._settings = settings
        self._load = load
        self._clock = clock or SystemClock()
        self._random = Random()
        self._host = socket.gethostname()
        self._born = self._clock.micros() / 1e6
        self._began = self._clock.monotonic()
        self._fleet = Fleet(self._host)
        self._board = Scoreboard()
        self._undertaker = Undertaker(self._board.deaths)
        self._signals = Signals()
        self._selector = selectors.DefaultSelector()
        self._pidfile = Pidfile(settings.supervisor.pidfile)
        commands = Commands(self, self._fleet, wall=lambda: self._clock.micros() / 1e6)
        self._control = Control(settings.supervisor.control_socket, self._selector, commands, clock=self._clock)
        self._spawner = Spawner(self._board, self._signals, inherited=self._inherited)
        self._preloaded = False
        self._stop = Rung.NONE
        self._exit_code = 0
        self._refused = ""
        self._cannot_fork = ""
        self._expected = INFINITE
        self._indulgent_until = 0.0

    def run(self) -> int:
        """Supervise until told to stop; the exit code."""
        self._pidfile.take()
        try:
            self._preloaded = preload(self._settings)
            self._want(self._settings)
            self._open()
            log.info("supervisor started", extra={"config": str(self._settings.file), "pools": self._pools()})
            while not self._over:
                self.tick()
            log.info("supervisor ended")
        finally:
            self._close()
        return self._exit_code

    def tick(self) -> None:
        """One round."""
        self._wait()
        for number in self._signals.heard():
            self._obey(number)
        self._reap()
        self._look()
        self._follow_plan()

    # Opening and closing

    def _open(self) -> None:
        self._signals.install()
        self._selector.register(self._signals.fd, selectors.EVENT_READ, self._signals)
        self._control.open()

    def _close(self) -> None:
        self._control.close()
        self._selector.close()
        self._signals.restore()
        self._pidfile.leave()

    def _inherited(self) -> list[int]:
        """What a child has of ours, and closes."""
        ours = [*self._signals.fds, self._selector.fileno(), self._pidfile.fd, *self._control.fds()]
        return [*ours, *(fd for child in self._fleet.children for fd in child.fds)]

    def _pools(self) -> str:
        return ",".join(f"{pool.name}={pool.wanted}" for pool in self._fleet.pools.values())

    # Waiting and hearing

    def _wait(self) -> None:
        now = self._clock.monotonic()
        until = min(self._next(now), self._control.due() or INFINITE)
        self._expected = until
        for key, _ in self._selector.select(max(0.0, until - now)):
            if key.data is self._control:
                self._control.ready(key)
        now = self._clock.monotonic()
        self._control.tick(now)
        if now > self._expected + FROZEN:
            log.warning("this host, or its supervisor, stood still for %.1f s", now - self._expected)
            self._indulgent_until = now + FROZEN

    def _next(self, now: float) -> float:
        slots = self._fleet.facts(stopping=self.stopping)
        booting = any(not child.up for child in self._fleet.children)
        look = now + (EAGER if booting or self.stopping else LOOK)
        return min(look, due(slots, [child.facts() for child in self._fleet.leavers]))

    def _obey(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGTERM | signal.SIGINT:
                self.stop(now=self.stopping, by=number.name)
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

    # What is wanted

    @property
    def stopping(self) -> bool:
        """It leaves."""
        return self._stop is not Rung.NONE

    def stop(self, *, now: bool, by: str = "a command") -> None:
        """Let every worker end its task, for `[supervisor] grace` seconds at most; or end it now."""
        if now and self._stop is not Rung.NOW:
            log.warning("%s: leaving now", by)
        elif not self.stopping:
            log.info("%s: leaving after the current tasks", by)
        self._stop = max(self._stop, Rung.NOW if now else Rung.TERM)
        self._hurry()

    def _hurry(self) -> None:
        """Who is leaving already may stay for as long as a stop lets it."""
        until = self._clock.monotonic() + self._patience()
        for child in self._fleet.children:
            child.hurry(until)

    def _patience(self) -> float:
        match self._stop:
            case Rung.NONE:
                return INFINITE
            case Rung.NOW:
                return 0.0
            case _:
                return self._settings.supervisor.grace

    def reload(self) -> str:
        """Read the configuration again, and want what it says. Raises ConfigurationError; the old one is kept then."""
        try:
            settings = self._load()
            self._want(settings)
        except ConfigurationError as error:
            self._refused = f"reload refused, the configuration of before holds: {error}".replace("\n", "; ")
            raise
        before, self._settings, self._refused = self._settings, settings, ""
        kept = [key for key in ("pidfile", "control_socket") if _differ(before, settings, key)]
        log.info("configuration read again", extra={"pools": self._pools()})
        return "configuration read again" + (f"; a new {' and '.join(kept)} needs a restart" if kept else "")

    def _reload_by_signal(self) -> None:
        if self.stopping:
            return
        try:
            log.info("SIGHUP received: %s", self.reload())
        except ConfigurationError:
            log.error("%s", self._refused)

    def _want(self, settings: Settings) -> None:
        found = wishes(settings)
        if not any(wish.workers for wish in found.values() if wish.kind != "keeper"):
            raise ConfigurationError(
                f"{settings.file}: no queue needs a worker here: tasks of memory:// run where they are enqueued, and "
                "every other queue has workers = 0; set [queues.NAME] workers"
            )
        self._settings = settings
        self._fleet.become(found)

    def restart_note(self) -> str:
        """What to know about new processes."""
        if not self._preloaded:
            return ""
        return (
            "; they share the code that was imported at the supervisor's start: to load new code, restart it, or set "
            "[app] preload = false"
        )

    # Facts

    def _reap(self) -> None:
        children = {child.pid: child for child in self._fleet.children}
        heard = False
        for pid, end in reap():
            if pid in children:
                heard |= self._bury(children[pid], end)
        if heard:
            self._undertaker.record()
            self._wake_keepers()

    def _bury(self, child: Child, end: Exit) -> bool:
        now = self._clock.monotonic()
        verdict = judge(end, child.card, told=child.standing.rung, why=child.why)
        heard = self._undertaker.bury(child, verdict)
        self._remember(child, verdict, now)
        self._board.give_back(child.row)
        child.close()
        return heard

    def _remember(self, child: Child, verdict: Verdict, now: float) -> None:
        slot = self._fleet.slot_of(child)
        if slot is None:
            self._fleet.leavers.remove(child)
            return
        slot.lose(child)
        slot.ended(child, verdict, now, self._random)

    def _wake_keepers(self) -> None:
        for slot in self._fleet.slots:
            if slot.pool in self._fleet.keepers:
                for child in slot.children:
                    child.wake()

    def _look(self) -> None:
        """See what children say of themselves, and tell them what is wanted."""
        for slot in self._fleet.slots:
            for child in slot.children:
                if (card := child.card) is not None:
                    slot.paused_by_signal = card.paused
                child.pause(self._fleet.is_paused(slot))
        self._fleet.tidy()

    # Acting

    def _follow_plan(self) -> None:
        now = self._clock.monotonic()
        leavers = [child.facts() for child in self._fleet.leavers]
        indulgent = now < self._indulgent_until
        for action in plan(self._fleet.facts(stopping=self.stopping), leavers, now=now, indulgent=indulgent):
            self._act(action, now)
        self._leave_if_hopeless()

    def _act(self, action: Action, now: float) -> None:
        match action:
            case Start(slot, successor):
                self._start(slot, now, successor=successor)
            case Promote(slot):
                before = slot.promote()
                if before is not None:
                    self._dismiss(before, now)
            case Dismiss(slot, pid):
                child = next(child for child in slot.children if child.pid == pid)
                slot.lose(child)
                self._dismiss(child, now)
            case Push(pid, rung, why):
                self._push(pid, rung, why, now)

    def _start(self, slot: Slot, now: float, *, successor: bool) -> None:
        try:
            child = self._spawner.spawn(
                self._job(slot),
                pool=slot.pool,
                name=slot.name,
                generation=slot.generation,
                paused=self._fleet.is_paused(slot),
                paused_by_signal=slot.paused_by_signal,
            )
        except CannotFork as error:
            if self._cannot_fork != str(error):
                log.error("%s", error)
            self._cannot_fork = str(error)
            slot.failed(now, self._random)
            return
        self._cannot_fork = ""
        child.boot_by = child.started + self._settings.supervisor.boot_timeout
        if successor:
            slot.successor = child
        else:
            slot.current = child
        log.debug("worker started", extra={"slot": slot.name, "child": child.pid})

    def _job(self, slot: Slot) -> Job:
        wish = self._fleet.pools[slot.pool].wish
        if wish.kind == "keeper":
            return partial(keep, self._settings, self._board)
        return partial(worker, self._settings, wish)

    def _dismiss(self, child: Child, now: float) -> None:
        self._fleet.leavers.append(child)
        if not child.standing.rung:
            child.tell(Rung.TERM, now, until=now + self._patience())

    def _push(self, pid: int, rung: Rung, why: str, now: float) -> None:
        child = next(child for child in self._fleet.children if child.pid == pid)
        if why:
            log.error("ending a worker: %s", why, extra={"slot": child.name, "child": pid})
        child.tell(rung, now, why=why)

    def _leave_if_hopeless(self) -> None:
        when = self._settings.supervisor.exit_when
        pools = [pool for name, pool in self._fleet.pools.items() if name not in self._fleet.keepers and pool.wanted]
        hopeless = [all(slot.fatal and not slot.children for slot in pool.slots.values()) for pool in pools]
        if self.stopping or not pools or when == "never":
            return
        if (any if when == "any" else all)(hopeless):
            log.critical("workers cannot ever start: leaving ([supervisor] exit_when = %r)", when)
            self._exit_code = EXIT_CONFIGURATION
            self._stop = Rung.TERM

    @property
    def _over(self) -> bool:
        return self.stopping and not self._fleet.children

    # What others see

    def snapshot(self) -> Snapshot:
        """The fleet at this moment."""
        now = self._clock.monotonic()
        view = View(self._fleet, now, paused_queues=self._board.pauses.read())
        return Snapshot(
            version=__version__,
            host=self._host,
            pid=os.getpid(),
            config=str(self._settings.file),
            started_at=self._born,
            uptime=now - self._began,
            state="stopping" if self.stopping else "running",
            paused=pauses("host", self._fleet.paused),
            problems=tuple(problem for problem in (self._refused, self._cannot_fork) if problem),
            pools=view.pools(),
        )


def _differ(before: Settings, after: Settings, key: str) -> bool:
    return bool(getattr(before.supervisor, key) != getattr(after.supervisor, key))


