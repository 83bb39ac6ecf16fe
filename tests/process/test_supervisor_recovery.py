"""The keeper, the store and what is open: the master needs none of them to supervise (P3, P15)."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing

import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.eventually import eventually
from tests.support.servers import server_database

pytestmark = pytest.mark.process


@pytest.mark.soak  # a keeper that is frozen inside a write of SQLite holds up all writers, as the README says
def test_queues_work_without_a_keeper_and_the_next_one_does_what_was_left(site, supervisor):
    gate = site.folder / "gate"
    running = site.queue.enqueue(tasks.until, str(site.ledger), str(gate))
    holder, keeper = supervisor.runs(running), supervisor.keeper
    os.kill(keeper, signal.SIGSTOP)
    assert site.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    os.kill(holder, signal.SIGKILL)
    supervisor.eventually(lambda status: holder not in [slot.pid for slot in status.slots])
    assert len(site.lines("start", running.id)) == 1, "nobody has given it back"
    os.kill(keeper, signal.SIGKILL)
    supervisor.runs(running, times=2)
    gate.touch()
    assert running.wait(20) is Status.COMPLETED
    assert [cause for cause, _ in site.attempts(running)] == ["crash"]
    supervisor.replaced(keeper, pool="keeper")


def test_an_outage_of_the_store_is_the_workers_business(make_site):
    """P15: they wait and keep what they have; the master supervises as before, and what it learns is done later."""
    site = make_site(app="enqueue_timeout = 0.2")
    supervisor = site.start()
    gate = site.folder / "gate"
    handles = [site.queue.enqueue(tasks.until, str(site.ledger), str(gate)) for _ in range(2)]
    survivor, victim = (supervisor.runs(handle) for handle in handles)
    with closing(sqlite3.connect(site.folder / "tasks.db", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        supervisor.says("the store is away")
        os.kill(victim, signal.SIGKILL)
        supervisor.replaced(victim)
        supervisor.send("SIGUSR2")
        supervisor.eventually(lambda status: status.paused)
        supervisor.send("SIGCONT")
        gate.touch()
        eventually(lambda: site.lines("end"))
        assert survivor in supervisor.pids()
        assert not supervisor.status.problems
        blocker.execute("ROLLBACK")
    assert {handle.wait(20) for handle in handles} == {Status.COMPLETED}
    assert [site.counters(handle) for handle in handles] == [(1, 0), (2, 1)]
    supervisor.says("the store is back")
    supervisor.ready()


def test_no_process_shares_its_connection_with_another(make_site):
    """What is open is opened after the fork, by each for itself; the master has nothing but its control socket."""
    url = server_database("postgresql")
    site = make_site(stores=f'url = "{url}"', queues="[queues.default]\nworkers = 4")
    supervisor = site.start()
    handles = [site.queue.enqueue(tasks.traced, str(site.ledger), 0.05) for _ in range(20)]
    assert {handle.wait(20) for handle in handles} == {Status.COMPLETED}
    children = {child.pid: sockets(child.pid) for child in supervisor.master.children()}
    assert len(children) == 5
    assert all(children.values())
    every = [inode for found in children.values() for inode in found]
    assert len(every) == len(set(every))
    assert len(sockets(supervisor.pid)) == 1


def sockets(pid: int) -> list[str]:
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    return [link for link in links if link.startswith("socket:")]
