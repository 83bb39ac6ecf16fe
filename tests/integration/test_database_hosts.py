"""What hosts say of themselves and are told: one row each, taken once, and lost for good."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from taskqueue.database import hosts, orders, pauses
from taskqueue.database.engine import Database
from taskqueue.database.orders import OrderRow
from tests.support.servers import open_in
from tests.support.statements import asked


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def opened(kind: str, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    with ExitStack() as stack:

        def handle() -> Database:
            store = tmp_path / "tasks.db"
            database = Database(f"sqlite:///{store}") if kind == "sqlite" else open_in(kind, tmp_path)
            stack.callback(database.close)
            return database

        yield handle


@pytest.fixture
def database(opened: Callable[[], Database]) -> Database:
    return opened()


def passed(database: Database, table: sa.Table, seconds: float) -> None:
    """Let so long have passed for all rows of a table, by the clock of leases."""
    with database.begin() as tx:
        tx.execute(sa.update(table).values(lease_until=table.c.lease_until - int(seconds * 1e6)))


def give(database: Database, host: str = "red", **more) -> OrderRow:
    said = {"target": "mail", "workers": 3, "by": "ann@desk"} | more
    return orders.give(database, host, "scale", **said)


def state(database: Database, order: OrderRow) -> str:
    found = orders.get(database, order.id)
    return found.state if found else "none"


# Hosts


def test_what_was_published_last_is_known(database):
    assert hosts.publish(database, "red", seat="/red.sock", snapshot=b'{"a": 1}')
    assert hosts.publish(database, "red", seat="/red.sock", snapshot='{"a": "ü"}'.encode())
    assert hosts.publish(database, "blue", seat="/blue.sock", snapshot=b"{}")
    blue, red = hosts.known(database)
    assert (blue.name, red.name, red.snapshot.decode()) == ("blue", "red", '{"a": "ü"}')
    assert 25 < red.lease <= 30
    assert 0 <= red.silent < 5


def test_a_large_word_is_kept_whole(database):
    said = b"x" * 1_000_000
    hosts.publish(database, "red", seat="/red.sock", snapshot=said)
    assert hosts.known(database)[0].snapshot == said


def test_of_two_who_call_themselves_the_same_the_first_stays_as_long_as_it_lives(database):
    hosts.publish(database, "red", seat="/one.sock", snapshot=b"one")
    assert not hosts.publish(database, "red", seat="/two.sock", snapshot=b"two")
    assert hosts.known(database)[0].snapshot == b"one"
    passed(database, database.tables.host, 31)
    assert hosts.publish(database, "red", seat="/two.sock", snapshot=b"two")
    assert not hosts.publish(database, "red", seat="/one.sock", snapshot=b"one")
    assert hosts.known(database)[0].snapshot == b"two"


def test_who_was_stopped_is_there_no_more_and_who_vanished_is_gone(database):
    for name in ("stopped", "vanished", "other"):
        hosts.publish(database, name, seat=f"/{name}.sock", snapshot=b"{}")
    hosts.leave(database, "stopped", seat="/stopped.sock", stopped=True)
    hosts.leave(database, "vanished", seat="/vanished.sock", stopped=False)
    hosts.leave(database, "other", seat="/another.sock", stopped=True)
    assert [(row.name, row.lease > 0) for row in hosts.known(database)] == [("other", True), ("vanished", False)]


def test_who_was_not_heard_of_for_a_day_is_forgotten(database):
    hosts.publish(database, "old", seat="/old.sock", snapshot=b"{}")
    passed(database, database.tables.host, 2 * 86_400)
    hosts.publish(database, "new", seat="/new.sock", snapshot=b"{}")
    hosts.forget(database)
    assert [row.name for row in hosts.known(database)] == ["new"]


# What a keeper reads each second


def test_a_glance_shows_pauses_orders_of_this_host_and_who_watches(database, opened):
    with database.begin() as tx:
        tx.execute(sa.delete(database.tables.meta).where(database.tables.meta.c.name == "watched"))
    assert hosts.glance(database, "red") == hosts.Glance(frozenset(), (), "")
    pauses.pause(database, "mail", by="ann")
    first, second = give(database), give(database)
    give(database, "blue")
    taken = give(database)
    orders.take(database, taken.id, by="k")
    hosts.watch(opened(), 30)
    glance = hosts.glance(database, "red")
    assert glance.paused == {"mail"}
    assert glance.orders == (first.id, second.id)
    assert hosts.watched_for(glance.watched) == 30
    hosts.watch(database, 30)
    assert hosts.glance(database, "red").watched != glance.watched


def test_a_glance_is_one_statement(database):
    hosts.glance(database, "red")
    with asked() as statements:
        hosts.glance(database, "red")
    assert len(statements) == 1


# Orders


def test_an_order_is_taken_and_answered(database):
    order = give(database)
    assert state(database, order) == "waiting"
    taken = orders.take(database, order.id, by="k")
    assert taken is not None
    assert (taken.host, taken.command, taken.target, taken.workers) == ("red", "scale", "mail", 3)
    assert (taken.said_by, taken.state, taken.ended_at) == ("ann@desk", "taken", None)
    assert orders.answer(database, order.id, by="k", state="done", text="mail: 2 -> 3 workers")
    found = orders.get(database, order.id)
    assert found is not None
    assert (found.state, found.answer) == ("done", "mail: 2 -> 3 workers")
    assert found.ended_at is not None
    assert found.ended_at >= found.created_at
    assert orders.latest(database, limit=5) == [found]


def test_of_keepers_that_want_it_at_once_one_has_it(opened):
    databases = [opened() for _ in range(4)]
    order = give(databases[0])
    together = threading.Barrier(len(databases))

    def take(database: Database) -> bool:
        together.wait()
        return orders.take(database, order.id, by=f"k{id(database)}") is not None

    with ThreadPoolExecutor(len(databases)) as threads:
        assert sorted(threads.map(take, databases)) == [False, False, False, True]


def test_what_nobody_took_in_time_is_lost_and_nobody_takes_it_later(database):
    order = give(database)
    passed(database, database.tables.order, 31)
    assert orders.take(database, order.id, by="k") is None
    assert state(database, order) == "lost"
    assert orders.take(database, order.id, by="k") is None
    assert orders.get(database, order.id).answer == orders.NOBODY


def test_what_was_taken_and_not_answered_in_time_is_lost_whatever_comes_later(database):
    order = give(database)
    orders.take(database, order.id, by="k")
    passed(database, database.tables.order, 31)
    (found,) = orders.latest(database, limit=1)
    assert (found.state, found.answer) == ("lost", orders.NO_ANSWER)
    assert not orders.answer(database, order.id, by="k", state="done", text="late")
    assert state(database, order) == "lost"


def test_only_who_took_it_answers(database):
    order = give(database)
    assert not orders.answer(database, order.id, by="k", state="done", text="not taken")
    orders.take(database, order.id, by="k")
    assert not orders.answer(database, order.id, by="another", state="done", text="not mine")
    assert state(database, order) == "taken"


def test_an_order_may_be_noted_as_lost_at_once(database):
    order = give(database, lost="lost: red is gone")
    assert state(database, order) == "lost"
    assert hosts.glance(database, "red").orders == ()


def test_what_ended_long_ago_is_forgotten(database):
    old, new = give(database, lost="lost"), give(database, lost="lost")
    waiting = give(database)
    table = database.tables.order
    with database.begin() as tx:
        long_ago = old.created_at - 2 * 86_400 * 1_000_000
        tx.execute(sa.update(table).where(table.c.id == old.id).values(ended_at=long_ago))
    orders.forget(database)
    assert [state(database, order) for order in (old, new, waiting)] == ["none", "lost", "waiting"]
