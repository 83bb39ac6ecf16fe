"""Between the master and the store: the keeper publishes what its master says, and brings it orders from elsewhere.

The master never touches a store. So its keeper asks it for its snapshot through the control socket, as anybody does,
and writes it where all can read it: every 10 s, each second while somebody watches, and soon while something is on its
way. An order is handed to the master as a request, so that its rules and refusals hold; who gave it goes with it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

from supervisor.client import EXIT_NOT_RUNNING, Unreachable
from taskqueue.clock import Clock
from taskqueue.database import hosts, orders
from taskqueue.database.engine import Database
from taskqueue.database.hosts import Glance
from taskqueue.database.orders import OrderRow, State
from taskqueue.keeper import Outages

log = logging.getLogger(__name__)

#: seconds between two words while somebody watches, while workers come and go, and else
WATCHED, BUSY, IDLE = 1.0, 2.0, 10.0
#: asks the master; raises Unreachable
Ask = Callable[[dict[str, Any]], dict[str, Any]]


class Liaison:
    """One keeper's, for all databases in which its workers are registered. `me` is the keeper's incarnation."""

    def __init__(self, host: str, *, seat: str, me: str, ask: Ask, clock: Clock) -> None:
        self._host = host
        self._seat = seat
        self._me = me
        self._ask = ask
        self._clock = clock
        self._due = 0.0
        self._watched_until = 0.0
        self._watches: dict[Database, str] = {}
        #: whether it is this supervisor that goes by this host's name there; unknown until it is tried
        self._ours: dict[Database, bool] = {}

    def heed(self, glances: dict[Database, Glance]) -> None:
        """Do what is due after a look at each database. Raises BrokerUnavailable."""
        for database, glance in glances.items():
            self._notice(database, glance.watched)
        with Outages() as outages:
            if self._clock.monotonic() >= self._due and (said := self._word()) is not None:
                for database in glances:
                    with outages.weathered():
                        self._publish(database, said)
            for database, glance in glances.items():
                for order_id in glance.orders if self._ours.get(database) else ():
                    with outages.weathered():
                        self._obey(database, order_id)

    def leave(self, databases: Iterable[Database], *, orphaned: bool) -> None:
        """The keeper leaves: tell whether the whole supervisor does. Raises BrokerUnavailable."""
        stopped = not orphaned and self._is_stopping()
        with Outages() as outages:
            for database in databases if stopped or orphaned else ():
                with outages.weathered():
                    hosts.leave(database, self._host, seat=self._seat, stopped=stopped)

    # What the master says

    def _notice(self, database: Database, watched: str) -> None:
        if watched == self._watches.get(database, ""):
            return
        self._watches[database] = watched
        now = self._clock.monotonic()
        self._watched_until = max(self._watched_until, now + hosts.watched_for(watched))
        self._due = min(self._due, now)

    def _word(self) -> bytes | None:
        """What the master says of itself; None if it does not."""
        now = self._clock.monotonic()
        try:
            snapshot = self._ask({"command": "status"})["snapshot"]
        except (Unreachable, KeyError) as error:
            log.debug("the supervisor says nothing of itself: %s", error)
            self._due = now + BUSY
            return None
        settled = snapshot["state"] == "running" and all(
            slot["state"] == "up" for pool in snapshot["pools"] for slot in pool["slots"]
        )
        self._due = now + (WATCHED if now < self._watched_until else IDLE if settled else BUSY)
        # A file's name may be no text.
        return json.dumps(snapshot, ensure_ascii=False).encode("utf-8", "replace")

    def _publish(self, database: Database, said: bytes) -> None:
        ours = hosts.publish(database, self._host, seat=self._seat, snapshot=said)
        if not ours and self._ours.get(database, True):
            log.warning(
                "another supervisor goes by the name of this host in %s: this one is not shown there, and takes no "
                "orders; give it a name of its own, [supervisor] host",
                database.name,
                extra={"host": self._host},
            )
        self._ours[database] = ours

    def _is_stopping(self) -> bool:
        try:
            return bool(self._ask({"command": "status"})["snapshot"]["state"] == "stopping")
        except (Unreachable, KeyError):
            return False

    # What it is to do

    def _obey(self, database: Database, order_id: str) -> None:
        order = orders.take(database, order_id, by=self._me)
        if order is None:
            return
        state, text = self._hand_on(order)
        log.info("an order by %s: %s: %s", order.said_by, state, text, extra={"order": _in_words(order)})
        orders.answer(database, order_id, by=self._me, state=state, text=text)
        # The next word shows what came of it.
        self._due = self._clock.monotonic()

    def _hand_on(self, order: OrderRow) -> tuple[State, str]:
        request = {"command": order.command, "target": order.target, "workers": order.workers, "by": order.said_by}
        try:
            answer = self._ask({name: value for name, value in request.items() if value is not None})
        except Unreachable as error:
            # Where nobody listens, nobody has heard it; else the master may do it yet.
            return ("refused" if error.exit_code == EXIT_NOT_RUNNING else "lost"), str(error)
        if answer.get("ok") is True:
            return "done", str(answer.get("message") or "done")
        return "refused", str(answer.get("error"))


def _in_words(order: OrderRow) -> str:
    said = [order.command, order.target, order.workers]
    return " ".join(str(word) for word in said if word is not None)
