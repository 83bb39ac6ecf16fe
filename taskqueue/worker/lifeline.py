"""The lifeline: a thread beside the task thread that does all of the worker's store traffic.

The task thread never waits for a store while there is work: the lifeline leases ahead of it and stores reports behind
it, both in one turn (`turns`). It renews leases and gives back what waits too long behind a running task (`leases`),
weathers outages (P15), and follows the worker's orders (`leaving`; P5, P6). The watch over the running task is the
guard's, because a store may keep the lifeline for seconds.
"""

from __future__ import annotations

import contextlib
import logging
import threading

from taskqueue.errors import Deposed, TaskQueueError, WorkerStopping
from taskqueue.worker.bells import Bells
from taskqueue.worker.chores import Chores
from taskqueue.worker.crew import Crew
from taskqueue.worker.guard import Guard
from taskqueue.worker.inbox import Inbox
from taskqueue.worker.leases import Leases
from taskqueue.worker.leaving import LAST_WORD, Leaving
from taskqueue.worker.outage import Outages
from taskqueue.worker.place import Ear
from taskqueue.worker.turns import Turns

log = logging.getLogger(__name__)


class Lifeline(threading.Thread):
    """Runs until the worker has stopped and everything is stored or given back."""

    def __init__(self, crew: Crew, inbox: Inbox, leaving: Leaving, *, joined: bool = True) -> None:
        super().__init__(name="lifeline", daemon=True)
        self._crew = crew
        self._inbox = inbox
        self._leaving = leaving
        self._clock = crew.clock
        self._counters = crew.counters
        self._orders = crew.orders
        self._outages = Outages(crew.clock, crew.random)
        self._bells = Bells(crew.stations, crew.orders, self._outages)
        self._leases = Leases(crew, inbox, self._outages)
        self._guard = Guard(crew, inbox)
        self._turns = Turns(crew, inbox, leaving, self._leases, self._guard)
        self._beside = _beside(crew, leaving)
        #: not in the registers: not yet, or declared dead
        self._deposed = not joined
        #: monotonic time of the last step
        self.stepped_at = crew.clock.monotonic()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """The thread's life."""
        try:
            self._guard.start()
            self._beside.do()  # before anything is claimed: what is paused
            self._beside.start()
            while not self._leaving.over(self._inbox, away=self._outages.on):
                self._step()
        except BaseException as error:
            # What says in one line what is wrong and what to do needs no traceback.
            told = isinstance(error, TaskQueueError)
            log.critical("the worker leaves: %s", error, exc_info=not told)
            self.failure = error
            self._last_words()
        finally:
            if self._counters is not None:
                self._counters.publish(self._clock.monotonic(), outages=self._outages)
            self._inbox.abandon()
            self._bells.close()

    def leave(self) -> None:
        """After the thread's end, and the last task's: end the incarnation."""
        self._beside.stop()
        self._guard.stop()
        self._crew.leave()

    def _step(self) -> None:
        try:
            self._leaving.follow(self._inbox)
            now = self.stepped_at = self._clock.monotonic()
            if self._deposed:
                self._rejoin()
            if not self._deposed:
                self._leases.look(now)
            self._turns.take(now, claiming=not self._deposed)
            if self._counters is not None:
                self._counters.tell(self._clock.monotonic(), outages=self._outages)
            self._rest()
        except Deposed:
            self._deposed = True
            self._leases.lose_all()

    def _rejoin(self) -> None:
        if not self._outages.away(self._crew):
            with self._outages.weathered(self._crew):
                self._crew.join()
                self._outages.worked(self._crew)
                self._deposed = False

    def _last_words(self) -> None:
        """Nobody will renew, store or give back any more: the task must end, and what is pending be stored now."""
        current = self._inbox.current
        if current is not None:
            self._crew.watch.end_soon(current, WorkerStopping("the worker broke"), within=LAST_WORD)
        with contextlib.suppress(Exception):
            self._turns.store_all()

    # Rest

    def _rest(self) -> None:
        """Sleep until something is due, the worker is poked, or (when idle) a queue rings."""
        if self._leaving.over(self._inbox, away=self._outages.on):
            return  # this very step stored what was left, and the poke of the last task's end is read: none will follow
        now = self._clock.monotonic()
        until = min(self._leaving.next(now), self._leases.next(now), self._turns.next(now), now + 5.0)
        if self._counters is not None:
            until = min(until, self._counters.next(now))
        if self._deposed:
            until = min(until, max(now, self._outages.until(self._crew)))
        if self._inbox.empty and not (self._leaving.told or self._orders.paused or self._deposed):
            self._idle(now, until)
        else:
            self._orders.wait(until - now)

    def _idle(self, now: float, until: float) -> None:
        seconds = min([until - now, *self._turns.looks(now)])
        if seconds <= 0:
            return
        if all(station.quiet or station.paused or self._outages.away(station.queue) for station in self._crew.stations):
            self._bells.wait(seconds)
        else:
            self._orders.wait(seconds)


def _beside(crew: Crew, leaving: Leaving) -> Chores | Ear:
    """Who tells what is paused: the store that a lone worker looks at as it does the chores, or its master."""
    if crew.place is None:
        return Chores(crew)
    return Ear(crew.place, heard=crew.follow, orphaned=leaving.leave)
