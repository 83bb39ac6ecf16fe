"""The master: one thread, one loop. Wait, hear, reap, look, plan, act.

It holds facts (what its children write on the scoreboard, how they ended, the monotonic clock) beside what is wanted
(the configuration, commands, signals); `plan` compares the two. It opens no database and no broker and starts no
thread, so that no outage and no library can keep it from supervising.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import selectors
import signal
import socket
from collections.abc import Callable, Sequence
from random import Random

from msgspec.structs import replace

from supervisor import privileges
from supervisor.child import Child
from supervisor.commands import Commands
from supervisor.control import Control
from supervisor.crashes import Crashes
from supervisor.deeds import Deeds
from supervisor.fleet import Fleet
from supervisor.herald import Herald
from supervisor.oom import OomKills
from supervisor.pidfile import Pidfile
from supervisor.plan import INFINITE, SlotFacts, due, plan
from supervisor.preload import preload
from supervisor.reaper import reap
from supervisor.scoreboard import Scoreboard
from supervisor.signals import Signals
from supervisor.spawn import Spawner
from supervisor.streams import have_streams
from supervisor.undertaker import Undertaker
from supervisor.verdict import Exit, judge
from supervisor.view import View, pauses
from supervisor.wants import Wants
from taskqueue import __version__, logs
from taskqueue.clock import Clock, SystemClock
from taskqueue.settings import Settings, find, load
from taskqueue.snapshot import Snapshot

log = logging.getLogger(__name__)

#: how often the master looks at the scoreboard, in seconds: while processes boot or leave, and else
EAGER, LOOK = 0.1, 1.0
#: a look that comes so late, in seconds, says that the host was frozen; for as long nobody else is taken for late
FROZEN = 3.0
#: on a stop the keeper has so long, in seconds, for what the last deaths have left
LAST_ROUNDS = 5.0


def run(config: str | None = None, sets: Sequence[str] = (), *, level: str | None = None) -> int:
    """`supervisor run` with that configuration file, or the one that is found; the exit code. Logs from `level` on."""
    have_streams()
    faulthandler.enable()  # systemd ends a master that does not turn any more with ABRT (WatchdogSec)
    file = find(config).absolute()
    said = [*sets, *([f"logging.level={level}"] if level else [])]
    settings = load(file, sets=said)
    logs.setup(settings.logging)
    privileges.drop(settings)
    return Master(settings, lambda: load(file, sets=said)).run()


class Master:
    """Supervises the fleet of one host, as `settings` say; `load` reads them again."""

    def __init__(self, settings: Settings, load: Callable[[], Settings], *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._random = Random()
        self._host = settings.supervisor.host or socket.gethostname()
        self._born, self._began = self._wall(), self._clock.monotonic()
        self._fleet = Fleet(self._host)
        self._wants = Wants(settings, load, self._fleet, self._clock)
        self._board = Scoreboard()
        self._undertaker = Undertaker(self._board.deaths)
        self._crashes = Crashes(self._board.blocks.master)
        self._pidfile = Pidfile(settings.supervisor.pidfile)
        self._signals = Signals()
        self._selector = selectors.DefaultSelector()
        commands = Commands(self._fleet, self._wants, snapshot=self.snapshot, wall=self._wall)
        path = settings.supervisor.control_socket
        self._control = Control(path, self._selector, commands, clock=self._clock)
        spawner = Spawner(self._board, self._signals, inherited=self._inherited)
        self._deeds = Deeds(self._fleet, self._wants, spawner, self._board, self._random, socket=str(path))
        self._herald = Herald(self._fleet, self._wants, self.snapshot)
        self._wants.around_reload = self._herald.around_reload
        self._paused_queues: frozenset[str] = frozenset()
        self._oom_kills = OomKills()
        self._indulgent_until = 0.0
        self._alone_since = self._began

    def run(self) -> int:
        """Supervise until told to stop; the exit code."""
        self._pidfile.take()
        try:
            self._signals.hold()
            self._fleet.preloaded = preload(self._wants.settings)
            self._wants.begin()
            self._signals.install()
            self._selector.register(self._signals.fd, selectors.EVENT_READ)
            self._control.open()
            log.info("supervisor started", extra={"config": str(self._wants.settings.file), "pools": str(self._fleet)})
            while not (self._wants.stopping and not self._fleet.children):
                self.tick()
            log.info("supervisor ended")
        finally:
            self._herald.leave()
            self._control.close()
            self._selector.close()
            self._signals.restore()
            self._pidfile.leave()
        return self._wants.exit_code

    def tick(self) -> None:
        """One round."""
        self._wait()
        for number in self._signals.heard():
            self._wants.obey(number)
        self._reap()
        self._look()
        self._follow_plan()
        self._wants.give_up_if_hopeless()
        self._herald.tick(self._clock.monotonic())

    # Waiting

    def _wait(self) -> None:
        """Sleep until something happens or is due; then serve who is connected."""
        now = self._clock.monotonic()
        expected = max(now, min(self._next(now), self._control.due() or INFINITE))
        for key, _ in self._selector.select(expected - now):
            if key.data is self._control:
                self._control.ready(key)
        now = self._clock.monotonic()
        self._control.tick(now)
        if now > expected + FROZEN:
            log.warning("this host, or its supervisor, stood still for %.1f s", now - expected)
            self._indulgent_until = now + FROZEN

    def _next(self, now: float) -> float:
        eager = self._wants.stopping or any(not child.up for child in self._fleet.children)
        slots = self._slots(now)
        leavers = [child.facts() for child in self._fleet.leavers]
        at = min(now + min(EAGER if eager else LOOK, self._herald.period), due(slots, leavers))
        # Whom we are indulgent with is overdue all the time.
        return max(at, now + EAGER) if now < self._indulgent_until else at

    # Facts

    def _reap(self) -> None:
        """Take note of every process that has ended; the keeper is told at once."""
        children = {child.pid: child for child in self._fleet.children}
        deaths = [self._bury(children[pid], end) for pid, end in reap() if pid in children]
        self._undertaker.record()
        # A kill long ago is no cause of the next death.
        self._oom_kills.look()
        if any(deaths):
            for child in self._fleet.keepers_children:
                child.wake()

    def _bury(self, child: Child, end: Exit) -> bool:
        now = self._clock.monotonic()
        verdict = judge(end, child.card, told=child.standing.rung, why=child.why or child.overdue(now))
        starved = end.signal == signal.SIGKILL and not child.standing.rung and self._oom_kills.rose()
        if starved:
            verdict = replace(verdict, cause=f"{verdict.cause}, as the kernel killed for want of memory")
        self._crashes.count(child, verdict, end, out_of_memory=starved)
        something_held = self._undertaker.bury(child, verdict)
        self._fleet.remember(child, verdict, now, self._random)
        self._board.give_back(child.row)
        child.close()
        return something_held

    def _look(self) -> None:
        """See what children say of themselves, and tell them what is wanted."""
        for slot in self._fleet.slots:
            for child in slot.children:
                if child is slot.current and (card := child.card) is not None:
                    slot.paused_by_signal = card.paused
                child.pause(self._fleet.is_paused(slot))
        paused = self._board.pauses.read()
        if paused != self._paused_queues:
            self._paused_queues = paused
            for child in self._fleet.children:
                child.wake()
        self._fleet.tidy()

    def _slots(self, now: float) -> list[SlotFacts]:
        """The slots, for the plan. On a stop the keeper stays until it has given back what the others held."""
        stopping = self._wants.stopping
        if not stopping or self._fleet.working:
            self._alone_since = now
        keeping = self._fleet.working or not (self._undertaker.done or now > self._alone_since + LAST_ROUNDS)
        return self._fleet.facts(stopping=stopping, keeping=keeping)

    # Acting

    def _follow_plan(self) -> None:
        now = self._clock.monotonic()
        leavers = [child.facts() for child in self._fleet.leavers]
        slots = self._slots(now)
        for action in plan(slots, leavers, now=now, indulgent=now < self._indulgent_until):
            self._deeds.do(action, now)

    # What others see, and what children close

    def snapshot(self) -> Snapshot:
        """The fleet at this moment."""
        now = self._clock.monotonic()
        problems = (self._wants.refused, self._deeds.cannot_fork)
        return Snapshot(
            version=__version__,
            host=self._host,
            pid=os.getpid(),
            config=str(self._wants.settings.file),
            started_at=self._born,
            uptime=now - self._began,
            state="stopping" if self._wants.stopping else "running",
            paused=pauses("host", self._fleet.paused),
            problems=tuple(problem for problem in problems if problem),
            pools=View(self._fleet, now, paused_queues=self._paused_queues).pools(),
        )

    def _inherited(self) -> list[int]:
        ours = [*self._signals.fds, self._selector.fileno(), self._pidfile.fd, *self._control.fds()]
        return [*ours, *(fd for child in self._fleet.children for fd in child.fds)]

    def _wall(self) -> float:
        return self._clock.micros() / 1e6
