"""How often a keeper tells of its master, and what becomes of orders that the master does not answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from supervisor.client import EXIT_FAILED, EXIT_NOT_RUNNING, Unreachable
from supervisor.liaison import BUSY, IDLE, WATCHED, Liaison
from taskqueue.database import hosts, orders
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable
from tests.support.clock import FakeClock
from tests.support.pretender import made_up, pool, slot


class FakeMaster:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.snapshot = made_up()
        self.asked: list[dict[str, Any]] = []
        self.answer: dict[str, Any] | Unreachable = {"ok": True, "message": "as you say"}

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        if isinstance(self.answer, Unreachable):
            raise self.answer
        if request["command"] == "status":
            return {"ok": True, "snapshot": msgspec.to_builtins(self.snapshot)}
        return self.answer

    @property
    def told(self) -> list[dict[str, Any]]:
        return [request for request in self.asked if request["command"] != "status"]


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.master = FakeMaster()
        self.databases = [Database(f"sqlite:///{folder}/{name}.db") for name in ("one", "two")]
        self.liaison = self.another()

    def another(self, *, seat: str = "/red.sock", me: str = "k") -> Liaison:
        return Liaison("red", seat=seat, me=me, ask=self.master, clock=self.clock)

    @property
    def database(self) -> Database:
        return self.databases[0]

    def round(self, seconds: float = 0.0, liaison: Liaison | None = None) -> None:
        """Let so long pass, and then a keeper's round."""
        self.clock.advance(seconds)
        glances = {database: hosts.glance(database, "red") for database in self.databases}
        (liaison or self.liaison).heed(glances)

    def words(self, rounds: int, *, every: float = 1.0) -> int:
        """How often it publishes in so many rounds."""
        before = len(self.master.asked) - len(self.master.told)
        for _ in range(rounds):
            self.round(every)
        return len(self.master.asked) - len(self.master.told) - before

    def order(self, database: Database | None = None) -> orders.OrderRow:
        return orders.give(database or self.database, "red", "scale", target="mail", workers=0, by="ann@desk")

    def close(self) -> None:
        for database in self.databases:
            database.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def snapshot_in(database: Database) -> Any:
    (row,) = hosts.known(database)
    return json.loads(row.snapshot)


# Telling


def test_an_idle_host_tells_of_itself_every_ten_seconds_in_every_database(world):
    world.round()
    assert [snapshot_in(database)["host"] for database in world.databases] == ["web-1", "web-1"]
    assert world.words(int(3 * IDLE)) == 3


def test_while_somebody_watches_it_tells_each_second_and_no_longer(world):
    world.round()
    hosts.watch(world.databases[1], 20)
    assert world.words(20) == 20
    assert world.words(30) in (2, 3, 4)
    assert WATCHED == 1.0


def test_who_watches_again_in_time_is_told_on(world):
    for _ in range(4):
        hosts.watch(world.database, 20)
        assert world.words(15) == 15


@pytest.mark.parametrize(
    "busy", [{"state": "reloading"}, {"pools": (pool("mail", slot("mail", 0, "boot")),)}, {"state": "stopping"}]
)
def test_while_something_is_on_its_way_it_tells_more_often(world, busy):
    world.master.snapshot = made_up(**busy)
    world.round()
    assert world.words(int(5 * BUSY)) == 5


def test_a_name_that_is_no_text_is_told_all_the_same(world):
    world.master.snapshot = made_up(config="/srv/\udcff.toml")
    world.round()
    assert snapshot_in(world.database)["config"] == "/srv/?.toml"


def test_a_master_that_says_nothing_is_asked_again_soon(world):
    world.master.answer = Unreachable("it is frozen")
    world.round()
    assert hosts.known(world.database) == []
    world.master.answer = {"ok": True}
    world.round(BUSY)
    assert len(hosts.known(world.database)) == 1


def test_a_database_that_is_away_keeps_no_word_and_no_order_from_the_other(world, monkeypatch):
    real, order = hosts.publish, world.order(world.databases[1])

    def publish(database: Database, *args: Any, **named: Any) -> bool:
        if database is world.database:
            raise BrokerUnavailable("away")
        return real(database, *args, **named)

    monkeypatch.setattr(hosts, "publish", publish)
    with pytest.raises(BrokerUnavailable, match="away"):
        world.round()
    assert len(hosts.known(world.databases[1])) == 1
    assert orders.get(world.databases[1], order.id).state == "done"


# Orders


def test_an_order_is_handed_on_with_who_said_it(world):
    order = world.order()
    world.round()
    assert world.master.told == [{"command": "scale", "target": "mail", "workers": 0, "by": "ann@desk"}]
    found = orders.get(world.database, order.id)
    assert (found.state, found.answer) == ("done", "as you say")
    world.round(1)
    assert len(world.master.told) == 1


def test_what_came_of_an_order_is_told_at_once(world):
    world.round()
    world.order()
    world.round(1)
    assert world.words(1) == 1


@pytest.mark.parametrize(
    ("answer", "state", "text"),
    [
        ({"ok": False, "error": "no pool 'mial'"}, "refused", "no pool 'mial'"),
        (Unreachable("nobody listens", exit_code=EXIT_NOT_RUNNING), "refused", "nobody listens"),
        (Unreachable("no answer within 2 s", exit_code=EXIT_FAILED), "lost", "no answer within 2 s"),
    ],
)
def test_an_order_that_is_not_done_says_why(world, answer, state, text):
    world.round()
    order = world.order()
    world.master.answer = answer
    world.round(1)
    found = orders.get(world.database, order.id)
    assert (found.state, found.answer) == (state, text)


def test_orders_are_done_in_the_order_in_which_they_were_given(world):
    for workers in range(5):
        orders.give(world.database, "red", "scale", target="mail", workers=workers, by="ann")
    world.round()
    assert [told["workers"] for told in world.master.told] == list(range(5))


# Two of one name


def test_of_two_supervisors_of_one_name_the_second_is_warned_once_and_takes_nothing(world, caplog):
    world.round()
    other = world.another(seat="/other.sock", me="o")
    world.order()
    with caplog.at_level(logging.WARNING):
        world.round(liaison=other)
        world.round(IDLE, liaison=other)
    warned = [record for record in caplog.records if "another supervisor goes by the name" in record.message]
    assert len(warned) == len(world.databases)
    assert world.master.told == []
    world.round()
    assert len(world.master.told) == 1


def test_the_next_keeper_of_the_same_supervisor_goes_on(world):
    world.round()
    successor = world.another(me="next")
    order = world.order()
    world.round(liaison=successor)
    assert orders.get(world.database, order.id).state == "done"


# Leaving


def test_a_keeper_that_leaves_alone_says_nothing(world):
    world.round()
    world.liaison.leave(world.databases, orphaned=False)
    assert [row.lease > 0 for row in hosts.known(world.database)] == [True]


def test_a_supervisor_that_stops_is_there_no_more(world):
    world.round()
    world.master.snapshot = made_up(state="stopping")
    world.liaison.leave(world.databases, orphaned=False)
    assert [hosts.known(database) for database in world.databases] == [[], []]


def test_a_supervisor_that_vanished_is_gone(world):
    world.round()
    world.master.answer = Unreachable("nobody listens", exit_code=EXIT_NOT_RUNNING)
    world.liaison.leave(world.databases, orphaned=True)
    assert [row.lease < 0 for database in world.databases for row in hosts.known(database)] == [True, True]
