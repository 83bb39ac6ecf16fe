"""Two supervisors, one store: each is seen from the other's side, and takes orders from there."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.liaison import IDLE
from taskqueue import Status
from taskqueue.app import App
from taskqueue.database import orders
from taskqueue.operations import hosts
from taskqueue.operations.hosts import Host, Order
from taskqueue.settings import load
from tests.support import tasks
from tests.support.eventually import eventually
from tests.support.servers import server_database
from tests.support.shell import Shell, shell
from tests.support.supervision import Site

pytestmark = pytest.mark.process


class Two:
    """Sites called red and blue that have nothing in common but their store; blue is where orders are given."""

    def __init__(self, folder: Path, stores: str) -> None:
        self.red, self.blue = (self._site(folder / name, stores) for name in ("red", "blue"))
        self.app = App(load(self.blue.config))

    def _site(self, folder: Path, stores: str) -> Site:
        folder.mkdir()
        return Site(folder, stores=stores, supervisor=f'host = "{folder.name}"')

    def start(self) -> None:
        self.red.start()
        self.blue.start()
        eventually(lambda: {host.name for host in hosts.hosts(self.app)} == {"red", "blue"})

    def host(self, name: str) -> Host:
        return next(host for host in hosts.hosts(self.app) if host.name == name)

    def order(self, command: hosts.Command, target: str | None = None, **more) -> Order:
        """Say it to red, and wait for what comes of it."""
        given = hosts.order(self.app, "red", command, target=target, by="ann@blue", **more)
        return hosts.answered(self.app, given.id, within=20)

    def close(self) -> None:
        supervisors = [*self.red.supervisors, *self.blue.supervisors]
        try:
            for supervisor in supervisors:
                supervisor.end()
            for supervisor in supervisors:
                supervisor.nothing_left()
        finally:
            for supervisor in supervisors:
                supervisor.clear_away()
                supervisor.show()
            for site in (self.red, self.blue):
                site.close()
            self.app.close()


@pytest.fixture
def make_two(tmp_path: Path) -> Iterator[Callable[[str], Two]]:
    made: list[Two] = []

    def make(stores: str) -> Two:
        made.append(Two(tmp_path, stores))
        return made[-1]

    yield make
    for two in made:
        two.close()


@pytest.fixture
def two(make_two: Callable[[str], Two], tmp_path: Path) -> Two:
    two = make_two(f'url = "sqlite:///{tmp_path}/shared.db"')
    two.start()
    return two


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_what_is_said_on_one_host_is_done_on_the_other(make_two, kind):
    two = make_two(f'url = "{server_database(kind)}"')
    two.start()
    orders_are_obeyed(two)


def test_the_same_in_one_file(two):
    orders_are_obeyed(two)


def orders_are_obeyed(two: Two) -> None:
    red, blue = two.red.supervisor, two.blue.supervisor
    before = red.pids()
    scaled = two.order("scale", "default", workers=3)
    assert (scaled.state, scaled.answer) == ("done", "default: 2 -> 3 workers; the file says 2")
    red.eventually(lambda _: len(red.pids()) == 3)
    assert two.order("restart", "default").state == "done"
    red.replaced(*before)
    assert two.order("pause").answer == "every worker of this host is paused"
    assert [pause.by for pause in red.status.paused] == ["ann@blue"]
    handle = two.red.queue.enqueue(tasks.traced, str(two.red.ledger))
    assert handle.wait(20) is Status.COMPLETED
    assert int(two.red.lines("start")[0][4]) in blue.pids()
    assert two.order("resume").state == "done"
    assert red.status.paused == ()
    assert [order.command for order in hosts.latest(two.app, limit=4)] == ["resume", "pause", "restart", "scale"]
    eventually(lambda: red.output.count("an order by ann@blue: done: ") == 4)
    assert "an order by" not in blue.output


def test_the_master_s_own_rules_hold(two):
    for command, target, words in (
        ("pause", "keeper", "keeper is never paused"),
        ("restart", "defalt", "did you mean 'default'?"),
        ("scale", "default/0", "is one worker: name its pool"),
    ):
        refused = two.order(command, target, **({"workers": 1} if command == "scale" else {}))
        assert refused.state == "refused"
        assert words in refused.answer
    assert [pool.scaled for pool in two.red.supervisor.status.pools] == [False, False]


def test_who_watches_sees_what_goes_on_and_hears_more_often(two):
    eventually(lambda: not two.host("red").snapshot.degraded)
    hosts.watch(two.app, 120)
    gate = two.red.folder / "gate"
    running = two.red.queue.enqueue(tasks.until, str(two.red.ledger), str(gate))

    def seen() -> list[str]:
        found = [two.host(name).snapshot for name in ("red", "blue")]
        return [slot.task_id for snapshot in found for slot in snapshot.slots if slot.task_id]

    eventually(lambda: seen() == [running.id])
    gate.touch()
    eventually(lambda: seen() == [])
    silences = [two.host("red").silent]

    def words() -> int:
        silences.append(two.host("red").silent)
        return sum(later < before for before, later in itertools.pairwise(silences))

    # Else there would be three at the most in this time.
    eventually(lambda: words() >= 6, within=2 * IDLE)


def test_a_keeper_that_is_killed_while_it_hands_an_order_on_leaves_it_lost(two):
    """The master stands still, so that its keeper waits for it: whether it heard the order, nobody can say."""
    red = two.red.supervisor
    keeper = red.keeper
    (database,) = two.app.registers
    red.send("SIGSTOP")
    given = hosts.order(two.app, "red", "scale", target="default", workers=1, by="ann@blue")
    eventually(lambda: orders.get(database, given.id).state != "waiting")
    os.kill(keeper, signal.SIGKILL)
    red.send("SIGCONT")
    red.replaced(keeper, pool="keeper")
    assert two.order("pause", "default").state == "done"
    with database.begin() as tx:  # nobody waits any longer
        tx.execute(database.tables.order.update().values(lease_until=0))
    assert hosts.order_of(two.app, given.id).state == "lost"
    assert red.output.count("an order by ann@blue: done") == 1


def test_an_order_waits_for_the_keeper_that_comes_after_a_killed_one(two):
    red = two.red.supervisor
    os.kill(red.keeper, signal.SIGKILL)
    assert two.order("scale", "default", workers=1).state == "done"
    red.eventually(lambda _: len(red.pids()) == 1)


def test_a_host_whose_supervisor_is_killed_is_gone_and_what_it_is_told_is_lost(two):
    red = two.red.supervisor
    red.kill()
    eventually(lambda: not two.host("red").alive)
    assert two.host("red").snapshot.pid == red.pid
    lost = two.order("pause")
    assert lost.state == "lost"
    assert "red was not heard of for" in lost.answer
    eventually(lambda: not list(red.session()))
    two.red.start()
    eventually(lambda: two.host("red").alive)
    assert two.order("pause").state == "done"


def test_a_host_that_is_lost_as_a_whole_takes_no_order(two):
    """It was alive a moment ago, as far as anybody knows; so the order waits, but not for ever."""
    red = two.red.supervisor
    red.killed = True
    for pid in list(red.session()):
        os.kill(pid, signal.SIGKILL)
    assert two.host("red").alive
    lost = two.order("pause", patience=1.5)
    assert (lost.state, lost.answer) == ("lost", orders.NOBODY)


def test_a_host_that_was_stopped_is_not_there_any_more(two):
    assert two.red.supervisor.stop() == 0
    assert [host.name for host in hosts.hosts(two.app)] == ["blue"]
    assert two.host("blue").alive


def test_of_two_supervisors_of_one_name_the_second_says_so_and_takes_no_order_of_the_first(make_two, tmp_path):
    two = make_two(f'url = "sqlite:///{tmp_path}/shared.db"')
    two.start()
    two.blue.supervisor.stop()
    two.blue.write(supervisor='host = "red"')
    impostor = two.blue.start()
    impostor.says("another supervisor goes by the name of this host in")
    assert two.order("pause", "default").state == "done"
    assert two.red.supervisor.pool().paused
    assert not impostor.pool().paused
    two.red.supervisor.stop()
    eventually(lambda: [host.snapshot.pid for host in hosts.hosts(two.app)] == [impostor.pid])


@pytest.fixture
def sh(two: Two, tmp_path: Path) -> Iterator[Shell]:
    """At the desk of somebody whose configuration names the same store."""
    desk = tmp_path / "desk"
    desk.mkdir()
    with shell(desk, config=two.blue.config.read_text()) as opened:
        yield opened


def test_the_command_line_shows_hosts_and_gives_them_orders(two, sh):
    eventually(lambda: all(host["snapshot"]["pools"] for host in sh.json("hosts")))
    two.red.supervisor.tell("pause", "default")
    assert sh("hosts", "scale", "red", "default", "1") == "red: default: 2 -> 1 workers; the file says 2\n"
    red = two.red.supervisor
    red.eventually(lambda _: len(red.pids()) == 1 and len(red.pool().slots) == 1)
    hosts.watch(two.app, 30)

    def row() -> list[str]:
        (line,) = (line for line in sh("hosts").splitlines() if line.startswith("red\t"))
        return line.split("\t")

    eventually(lambda: row()[:3] == ["red", "running", "1/1"])
    assert row()[6].startswith("default by ")
    refused = sh.type("hosts", "restart", "red", "defalt")
    assert refused.code == 1
    assert refused.line.startswith("red: ")
    assert "did you mean 'default'?" in refused.line
    unknown = sh.type("hosts", "pause", "rod")
    assert (unknown.code, unknown.line) == (1, "no supervisor of a host 'rod' was heard of, did you mean 'red'?")
    given = sh.json("hosts", "orders")
    assert [(one["command"], one["state"]) for one in given] == [("restart", "refused"), ("scale", "done")]
