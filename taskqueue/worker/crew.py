"""What the parts of one worker share: its name, its queues, its clock, its place in the register."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from random import Random

from taskqueue.clock import Clock
from taskqueue.database import incarnations
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable, Deposed
from taskqueue.ids import new_id
from taskqueue.queue import Queue
from taskqueue.registry import Registry
from taskqueue.selectors import Selector
from taskqueue.worker.counters import Counters
from taskqueue.worker.inbox import Work
from taskqueue.worker.interrupt import Interrupter
from taskqueue.worker.orders import Orders
from taskqueue.worker.place import Place, Wanted
from taskqueue.worker.presence import Presence
from taskqueue.worker.scorecard import Scorecard
from taskqueue.worker.station import Station
from taskqueue.worker.watch import Watch

log = logging.getLogger(__name__)


class Crew:
    """One worker's shared parts, and its incarnation: one life, one id, in every database that it works on."""

    def __init__(
        self,
        queues: Sequence[Queue],
        selector: Selector,
        registry: Registry,
        *,
        clock: Clock,
        databases: Sequence[Database] = (),
        stem: Path | None = None,
        chores: Callable[[], None] = lambda: None,
        place: Place | None = None,
    ) -> None:
        self.host = place.host if place else socket.gethostname()
        #: its slot under a master; None: it runs alone
        self.place = place
        self.slot = place.name if place else f"{self.host}:{os.getpid()}"
        self.clock = clock
        self.random = Random()
        self.registry = registry
        self.selector = selector
        self.stations = [Station(queue, random=self.random) for queue in queues]
        self._by_name = {station.queue.name: station for station in self.stations}
        self.orders = Orders()
        if place is not None and (card := place.scorecard.read()) is not None:
            self.orders.paused_here = card.paused  # what USR2 said to the slot's last process holds for this one (P6)
        self.interrupter = Interrupter()
        self.watch = Watch(self.interrupter, clock, stacks=place.stacks if place else None)
        self.lease = min(queue.limits.lease for queue in queues)
        self.incarnation = ""
        #: where this worker is registered, and queues are paused
        self.databases = databases
        self._stem = stem
        self._presence: Presence | None = None
        self._chores = chores
        #: what it counts, where others can see it
        self.counters = Counters(place.block) if place is not None and place.block is not None else None
        self.scorecard: Scorecard | None = place.scorecard if place else None

    def station_of(self, work: Work) -> Station:
        """The station of a work's queue."""
        return self._by_name[work.queue.name]

    def join(self) -> None:
        """Begin a new incarnation: registered before it may claim (R1), its scorecard in place before that."""
        self.incarnation = new_id()
        self._appear()
        for station in self.stations:
            station.queue.broker.owner = self.incarnation
        for database in self.databases:
            incarnations.register(
                database,
                self.incarnation,
                slot=self.slot,
                host=self.host,
                pid=os.getpid(),
                kind="worker",
                queues=list(self._by_name),
                lease=self.lease,
            )

    def _appear(self) -> None:
        """Prove that this incarnation lives, before the proof of the last one is gone."""
        if self.place is not None:
            self.note(incarnation=self.incarnation)
        if self._stem is None:
            return
        before = self._presence
        try:
            self._presence = Presence(self._stem, self.incarnation, slot=self.slot, supervised=self.place is not None)
        except BrokerUnavailable as error:
            if self._stem.exists():  # a database's own folder, which must let us write
                raise
            log.warning("should this worker be killed, its tasks wait for the end of their leases: %s", error)
            return
        if self.place is None:
            self.scorecard = self._presence.scorecard
        if before is not None:
            before.leave()

    def renew(self, database: Database) -> None:
        """Say there that this incarnation lives. Raises Deposed if it was declared dead."""
        if not incarnations.renew(database, self.incarnation, lease=self.lease):
            raise Deposed(f"worker {self.slot} was declared dead")

    def leave(self) -> None:
        """End this incarnation in good order, and give back what it may hold still.

        Where a store is away its file stays, and says that this worker was told to go: whoever keeps the store does it.
        """
        self.note(leaving=True)
        try:
            for station in self.stations:
                station.queue.recover([self.incarnation], running={})
            for database in self.databases:
                incarnations.remove(database, [self.incarnation])
        except BrokerUnavailable as error:
            log.warning("this worker leaves without a word to its store: %s", error)
            return
        self.note(incarnation="")
        self.scorecard = None
        if self._presence is not None:
            self._presence.leave()
            self._presence = None

    def peers(self, queue: str) -> int:
        """How many workers serve that queue, this one among them."""
        return max((incarnations.peers(database, queue) for database in self.databases), default=1)

    def chores(self) -> None:
        """What somebody must do every second (the keeper's duties, and reading which queues are paused)."""
        self._read_pauses()
        self._chores()

    def _read_pauses(self) -> None:
        """All of them or none: of a store that is away, the last known state holds (P6)."""
        self._pause(set().union(*[incarnations.paused_queues(database) for database in self.databases]))

    def follow(self, wanted: Wanted) -> None:
        """Do what the master wants."""
        if self.orders.paused_above is not wanted.paused:
            self.orders.paused_above = wanted.paused
            self.orders.poke()
        self._pause(wanted.paused_queues)

    def _pause(self, queues: Collection[str]) -> None:
        for station in self.stations:
            if station.paused is not (station.queue.name in queues):
                station.paused = not station.paused
                self.orders.poke()

    def note(self, **changes: object) -> None:
        """Write on the scorecard, if there is one."""
        if self.scorecard is not None:
            self.scorecard.update(**changes)
