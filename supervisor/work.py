"""What the children do: work on queues, keep the store, or serve the web. Everything is opened here, after the fork."""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from supervisor.client import talk
from supervisor.liaison import Liaison
from supervisor.scoreboard import Scoreboard
from supervisor.wishes import Wish
from taskqueue import logs
from taskqueue.app import App
from taskqueue.database import hosts, incarnations
from taskqueue.database.engine import Database
from taskqueue.errors import EXIT_RECYCLE, BrokerUnavailable
from taskqueue.ids import new_id
from taskqueue.keeper import Outages
from taskqueue.limits import worker_limits
from taskqueue.opened import settle
from taskqueue.settings import Settings
from taskqueue.settings.load import VARIABLE
from taskqueue.worker.orders import Orders
from taskqueue.worker.place import Place, drain
from taskqueue.worker.scorecard import State

log = logging.getLogger(__name__)

#: seconds between two rounds of the keeper, and how long one may take before it is taken for hung: stores may keep it
ROUND, HUNG = 1.0, 300.0
#: for how long a keeper is taken for alive, in seconds
LEASE = 30.0
#: for how long a keeper waits for its own master's word, in seconds
PATIENCE = 2.0


def worker(settings: Settings, wish: Wish, place: Place) -> int:
    """Serve the queues of this wish; the exit code."""
    app = _app(settings)
    app.import_modules()
    if _prepared(app, wish.queues):
        return _leave_with_what_was_needed_once(place)
    return app.worker(wish.queues, worker_limits(settings, wish.queues), selector=wish.selector, place=place).run(
        ending=True
    )


def serve(settings: Settings, board: Scoreboard, place: Place) -> int:
    """Serve the web until told to go; the exit code. Nothing of it is imported where it is not wanted."""
    app = _app(settings)
    from taskqueue.web import extra

    extra.require()
    from supervisor.scrape import Scrape
    from taskqueue.web import serve as web

    return web.serve(app, place=place, scrape=Scrape(board.blocks, settings.supervisor.control_socket))


def _app(settings: Settings) -> App:
    logs.setup(settings.logging)
    if settings.file is not None:
        # Programs that tasks start find this very configuration.
        os.environ[VARIABLE] = str(settings.file)
    return settle(settings)


def _prepared(app: App, queues: Iterable[str]) -> bool:
    """Try the stores: what can never work is told at once, what is away now is waited for (P15).

    Whether tables had to be created or upgraded.
    """
    before = "alembic" in sys.modules  # an application may have it for itself, and would be recycled for ever
    for name in queues:
        with suppress(BrokerUnavailable):
            queue = app.dispatcher.queue(name)
            if (database := app.database_of(queue)) is not None:
                with database.read():
                    pass
            if not queue.broker.capabilities.recovers:
                queue.broker.initialize()
    return not before and "alembic" in sys.modules


def _leave_with_what_was_needed_once(place: Place) -> int:
    """Tables are created once, and what that takes is as large as all the rest: the next process does without."""
    place.scorecard.update(leaving=True)
    return EXIT_RECYCLE


def keep(settings: Settings, board: Scoreboard, socket: str, place: Place) -> int:
    """Do the keeper's duties until told to go; the exit code. `socket` is where the master listens."""
    app = _app(settings)
    if _prepared(app, app.queues):
        return _leave_with_what_was_needed_once(place)
    orders = Orders()
    orders.install()
    place.title("idle")
    keeping = Keeping(app, board, socket, place)
    orphaned = False
    try:
        while not orders.stop and not orphaned:
            keeping.round()
            if orphaned := not _rest(orders, place):
                log.warning("the supervisor is gone; the keeper leaves")
            orders.obey()
        place.scorecard.update(leaving=True, deadline=0.0)
        keeping.leave(orphaned=orphaned)
    finally:
        orders.restore()
    return 0


def _rest(orders: Orders, place: Place) -> bool:
    """Wait for the next round, or until somebody died; False if the master is gone."""
    ready, _, _ = select.select([orders.fd, place.life], [], [], ROUND)
    return place.life not in ready or drain(place.life)


class Keeping:
    """One keeper process: its rounds, and its own place in the registers of hosts and workers."""

    def __init__(self, app: App, board: Scoreboard, socket: str, place: Place) -> None:
        self._app = app
        self._board = board
        self._place = place
        self._keeper = app.keeper(deaths=board.deaths)
        self._incarnation = new_id()
        self._liaison = Liaison(
            place.host,
            seat=socket,
            me=self._incarnation,
            ask=partial(talk, socket, timeout=PATIENCE),
            clock=app.clock,
        )
        self._renew_at = 0.0
        self._away = False

    def round(self) -> None:
        """Do what is due; while a store is away, one line when it goes and one when it is back (P15)."""
        now = self._app.clock.monotonic()
        self._place.scorecard.update(state=State.RUNNING, since=now, deadline=now + HUNG)
        try:
            with Outages() as outages:
                for duty in (self._keeper.bury_the_dead, self._keeper.step, self._look, self._renew):
                    with outages.weathered():
                        duty()
        except BrokerUnavailable as error:
            if not self._away:
                log.warning("the store is away: %s", error)
            self._away = True
        else:
            if self._away:
                log.warning("the store is back")
            self._away = False
        now = self._app.clock.monotonic()
        self._place.scorecard.update(state=State.IDLE, deadline=now + 15 * ROUND)

    def _look(self) -> None:
        """See what is said in each database, and do it."""
        registers, glances = self._app.registers, dict[Database, hosts.Glance]()
        with Outages() as outages:
            for database in registers:
                with outages.weathered():
                    glances[database] = hosts.glance(database, self._place.host)
            if len(glances) == len(registers):
                self._tell_pauses(glances.values())
            with outages.weathered():
                self._liaison.heed(glances)

    def _tell_pauses(self, glances: Iterable[hosts.Glance]) -> None:
        """All of them or none: of a store that is away, the last known state holds (P6)."""
        paused: frozenset[str] = frozenset().union(*(glance.paused for glance in glances))
        if self._board.pauses.write(paused):
            self._place.ring()

    def _renew(self) -> None:
        now = self._app.clock.monotonic()
        if now < self._renew_at:
            return
        for database in self._app.registers:
            if not incarnations.renew(database, self._incarnation, lease=LEASE):
                incarnations.register(
                    database,
                    self._incarnation,
                    slot=self._place.name,
                    host=self._place.host,
                    pid=os.getpid(),
                    kind="keeper",
                    queues=[],
                    lease=LEASE,
                )
        self._renew_at = now + LEASE / 3

    def leave(self, *, orphaned: bool) -> None:
        """The last round, and out of the registers. `orphaned`: the master is gone."""
        registers = self._app.registers
        with suppress(BrokerUnavailable), Outages() as outages:
            with outages.weathered():
                self._keeper.bury_the_dead()
            for database in registers:
                with outages.weathered():
                    incarnations.remove(database, [self._incarnation])
            with outages.weathered():
                self._liaison.leave(registers, orphaned=orphaned)
