"""Hosts as they are seen from anywhere, orders to them, and what the doctor says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from taskqueue.app import App
from taskqueue.database import hosts as rows
from taskqueue.database import incarnations, orders
from taskqueue.database.engine import Database
from taskqueue.errors import InvalidArguments, UnknownHost, UnknownOrder
from taskqueue.ids import new_id
from taskqueue.operations import hosts, workers
from taskqueue.operations.doctor import examine
from taskqueue.settings import parse
from taskqueue.snapshot import Pause, Snapshot
from tests.support.pretender import made_up, pool, slot
from tests.support.shell import Shell

ONE = """
[app]
modules = ["tests.support.errands"]
[brokers.main]
url = "sqlite:///tasks.db"
"""
TWO = (
    ONE
    + """
[brokers.more]
url = "sqlite:///more.db"
[queues.default]
broker = "main"
[queues.other]
broker = "more"
"""
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[str], App]]:
    apps: list[App] = []

    def open_(config: str) -> App:
        apps.append(App(parse(config, file=tmp_path / "taskqueue.toml")))
        return apps[-1]

    yield open_
    for app in apps:
        app.close()


@pytest.fixture
def app(opened: Callable[[str], App]) -> App:
    return opened(ONE)


def publish(database: Database, name: str, snapshot: Snapshot | bytes) -> None:
    said = snapshot if isinstance(snapshot, bytes) else msgspec.json.encode(snapshot)
    assert rows.publish(database, name, seat=f"/{name}.sock", snapshot=said)


def passed(database: Database, name: str, seconds: float) -> None:
    """So long ago that host was heard of."""
    host = database.tables.host.c
    before = {"seen_at": host.seen_at - int(seconds * 1e6), "lease_until": host.lease_until - int(seconds * 1e6)}
    with database.begin() as tx:
        tx.execute(sa.update(database.tables.host).where(host.name == name).values(before))


def give(app: App, host: str = "red", command: Any = "pause", **more: Any) -> hosts.Order:
    return hosts.order(app, host, command, **{"by": "ann@desk"} | more)


def test_hosts_are_told_with_what_their_supervisors_say(app):
    (database,) = app.registers
    publish(database, "red", made_up(host="red"))
    publish(database, "blue", b'{"version": 99}')
    passed(database, "blue", 90)
    blue, red = hosts.hosts(app)
    assert (red.name, red.alive, red.snapshot.host) == ("red", True, "red")
    assert (blue.name, blue.alive, blue.snapshot) == ("blue", False, None)
    assert 89 < blue.silent < 99
    assert 89 < (app.clock.micros() - blue.seen) / 1e6 < 99


def test_a_field_of_a_newer_release_does_no_harm(app):
    (database,) = app.registers
    said = msgspec.to_builtins(made_up()) | {"colour": "red"}
    publish(database, "red", msgspec.json.encode(said))
    assert hosts.hosts(app)[0].snapshot == made_up()


def test_a_host_in_two_databases_is_one_by_its_last_word_and_is_told_where_it_hears(opened):
    app = opened(TWO)
    first, second = app.registers
    for database in (first, second):
        publish(database, "red", made_up(pid=app.registers.index(database)))
    passed(first, "red", 20)
    assert [host.snapshot.pid for host in hosts.hosts(app)] == [1]
    order = give(app)
    assert orders.get(first, order.id) is None
    assert orders.get(second, order.id) is not None
    assert hosts.order_of(app, order.id) == order
    assert hosts.latest(app) == [order]


def test_who_watches_is_heard_in_every_database(opened):
    app = opened(TWO)
    hosts.watch(app, 1e9)
    assert [rows.watched_for(rows.glance(database, "red").watched) for database in app.registers] == [300, 300]


def test_an_order_says_all_that_was_said(app):
    publish(app.registers[0], "red", made_up())
    order = give(app, command="scale", target="mail", workers=0)
    assert (order.host, order.command, order.target, order.workers, order.by) == ("red", "scale", "mail", 0, "ann@desk")
    assert (order.state, order.answer, order.ended_at) == ("waiting", "", None)
    assert hosts.answered(app, order.id, within=0) == order
    orders.take(app.registers[0], order.id, by="k")
    assert hosts.order_of(app, order.id).state == "waiting"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"command": "stop"}, "'stop' is no order; known: pause, resume, scale, restart"),
        ({"command": "puase"}, "did you mean 'pause'?"),
        ({"command": "scale", "target": "mail"}, "scale needs a number of workers"),
        ({"command": "scale", "workers": 3}, "scale needs the name of a pool"),
        ({"command": "pause", "workers": 3}, "pause takes no number of workers"),
        ({"command": "scale", "target": "mail", "workers": 10**30}, "a pool can have 0 to 1,000 workers"),
        ({"command": "scale", "target": "mail", "workers": -1}, "a pool can have 0 to 1,000 workers"),
        ({"target": "a\0b"}, "target is a name of 1 to 255 characters"),
        ({"target": ""}, "target is a name of 1 to 255 characters"),
        ({"target": "a" * 256}, "target is a name of 1 to 255 characters"),
        ({"by": "\udcff"}, "by is a name of 1 to 255 characters"),
    ],
)
def test_what_is_no_order_is_not_left(app, said, words):
    publish(app.registers[0], "red", made_up())
    with pytest.raises(InvalidArguments) as refused:
        give(app, **said)
    assert words in str(refused.value)
    assert hosts.latest(app) == []


def test_a_host_that_nobody_heard_of_is_refused(app):
    with pytest.raises(UnknownHost, match="no supervisor of a host 'red' was heard of; known: none"):
        give(app)
    publish(app.registers[0], "red", made_up())
    with pytest.raises(UnknownHost, match="did you mean 'red'"):
        give(app, "rod")
    for order_id in (new_id(), "", "a\0b", "\udcff"):
        with pytest.raises(UnknownOrder, match="there is no order"):
            hosts.order_of(app, order_id)


def test_what_is_said_to_a_host_that_is_gone_is_lost_at_once_and_stays_so(app):
    (database,) = app.registers
    publish(database, "red", made_up())
    passed(database, "red", 95)
    order = give(app)
    assert (order.state, order.answer) == ("lost", "lost: red was not heard of for 1 min 35 s; nothing was done")
    publish(database, "red", made_up())
    assert rows.glance(database, "red").orders == ()
    assert hosts.order_of(app, order.id).state == "lost"


def test_workers_of_all_databases_are_told_once_each(opened):
    app = opened(TWO)
    for number, database in enumerate(app.registers):
        for name in ("both", f"only-{number}"):
            incarnations.register(
                database, name, slot=f"red/mail/{name}", host="red", pid=1, kind="worker", queues=["mail"], lease=60
            )
    assert sorted(worker.id for worker in workers.workers(app)) == ["both", "only-0", "only-1"]


# The doctor


def test_the_doctor_tells_of_hosts_that_somebody_should_look_at(app):
    (database,) = app.registers
    fatal = made_up(pools=(pool("mail", slot("mail", 0, "fatal", note="exit code 78")),))
    publish(database, "fatal", fatal)
    publish(database, "gone", made_up())
    passed(database, "gone", 100)
    publish(database, "long-gone", made_up())
    passed(database, "long-gone", 7200)
    publish(database, "other", b"{}")
    publish(database, "paused", made_up(paused=(Pause(scope="host", by="ann"),)))
    publish(database, "refused", made_up(problems=("reload refused: no such key",)))
    found = {one.subject: one for one in examine(app) if one.subject.startswith("host ")}
    assert {name.removeprefix("host "): one.well for name, one in found.items()} == {
        "fatal": False,
        "gone": False,
        "long-gone": True,
        "other": True,
        "paused": True,
        "refused": False,
    }
    assert found["host fatal"].text == "workers of mail cannot start: exit code 78"
    assert found["host gone"].text == "its supervisor was not heard of for 1 min 40 s"
    assert found["host paused"].text == "3 of 3 workers up, paused by ann"
    assert found["host refused"].text == "reload refused: no such key"
    assert all(one.advice for one in found.values() if not one.well)


# The command line


def test_hosts_at_a_terminal_say_who_is_gone_and_what_is_paused(sh: Shell):
    assert sh.type("hosts", terminal=True).err == "no supervisor was heard of: `supervisor run` starts one\n"
    assert sh("hosts").splitlines() == ["Host\tState\tWorkers\tRunning\tHeard\tVersion\tPaused\tProblems"]
    (database,) = sh.app.registers
    publish(database, "red", made_up(paused=(Pause(scope="host", by="ann"),)))
    publish(database, "blue", made_up())
    passed(database, "blue", 95)
    publish(database, "green", b"{}")
    shown = sh("hosts", terminal=True)
    assert "all by ann" in shown
    assert "Version" not in shown
    assert "gone" in shown
    assert "1 min 35 s ago" in shown
    assert "its last word" in shown
    blue, green, red = sh.json("hosts")
    assert (blue["alive"], green["snapshot"], red["snapshot"]["paused"][0]["by"]) == (False, None, "ann")
    assert red["seen"].endswith("Z")


def test_orders_to_a_host_that_is_gone_are_told_as_lost(sh: Shell):
    assert sh.type("hosts", "orders", terminal=True).err == "no orders\n"
    (database,) = sh.app.registers
    publish(database, "red", made_up())
    passed(database, "red", 95)
    ran = sh.type("hosts", "pause", "red", "mail")
    assert (ran.code, ran.line) == (1, "red: lost: red was not heard of for 1 min 35 s; nothing was done")
    (line,) = sh("hosts", "orders").splitlines()[1:]
    assert line.split("\t")[1:3] == ["red", "pause mail"]
    assert "lost" in sh("hosts", "orders", terminal=True)
