"""P20: on SQLite leases and delays go by the clocks of the host, which a reboot sets back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database import boot, incarnations
from taskqueue.database.engine import Database
from taskqueue.message import Message
from tests.support.clock import FakeClock
from tests.support.programs import start

Open = Callable[[str], Database]
SECOND = 1_000_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def opened(tmp_path: Path, clock: FakeClock) -> Iterator[Open]:
    """Opens the database as a process does that runs in the boot of that name."""
    databases = []

    def opened(name: str) -> Database:
        database = Database(f"sqlite:///{tmp_path}/queue.db", clock=clock)
        database.dialect.boot.id = name
        databases.append(database)
        return database

    yield opened
    for database in databases:
        database.close()


def put_off(database: Database, number: int, *, due: int, due_wall: int) -> None:
    row = {"queue": "mail", "due": due, "id": number, "due_wall": due_wall, "lane": 11, "task_id": "t", "alone": 0}
    with database.begin() as tx:
        tx.execute(sa.insert(database.tables.delayed), row | {"body": b""})


def lease(database: Database, number: int) -> None:
    row = {"queue": "mail", "id": number, "lane": 11, "task_id": "t", "alone": 0, "owner": "w", "body": b""}
    with database.begin() as tx:
        tx.execute(sa.insert(database.tables.lease), row | {"lease_until": 2**62})


def column(database: Database, column: sa.Column[int]) -> list[int]:
    with database.read() as connection:
        return list(connection.execute(sa.select(column).order_by(column)).scalars())


def register(database: Database, name: str) -> None:
    incarnations.register(database, name, slot="s", host="h", pid=1, kind="worker", queues=["mail"], lease=120)


def test_a_reboot_ends_every_lease_and_every_worker(opened):
    before = opened("first")
    lease(before, 1)
    register(before, "old")
    after = opened("second")
    assert column(after, after.tables.lease.c.lease_until) == [0]
    assert incarnations.expired(after) == ["old"]
    register(after, "new")
    lease(after, 2)
    # Once a boot is enough: what began since is left alone, by whoever comes next.
    last = opened("second")
    assert [worker.id for worker in incarnations.alive(last)] == ["new"]
    assert column(last, last.tables.lease.c.lease_until) == [0, 2**62]


def test_a_reboot_leaves_delays_due_when_they_were(opened, clock):
    before = opened("first")
    put_off(before, 1, due=10**15, due_wall=clock.micros() + 600 * SECOND)
    put_off(before, 2, due=10**15 - 1, due_wall=clock.micros() + 60 * SECOND)
    clock.advance(300)
    after = opened("second")
    past, future = column(after, after.tables.delayed.c.due)
    now = boot.due_clock()
    assert past <= now - 239 * SECOND
    assert now + 299 * SECOND < future <= now + 300 * SECOND


def test_within_one_boot_nothing_changes(opened, clock):
    first = opened("first")
    put_off(first, 1, due=5, due_wall=7)
    lease(first, 1)
    clock.advance(86400)
    second = opened("first")
    assert column(second, second.tables.delayed.c.due) == [5]
    assert column(second, second.tables.lease.c.lease_until) == [2**62]


def test_a_boot_has_a_name_and_clocks_that_only_go_forward():
    assert boot.boot_id() == boot.boot_id() != ""
    for clock in (boot.lease_clock, boot.due_clock):
        first, second = clock(), clock()
        assert 0 < first <= second


def test_after_a_reboot_the_queue_goes_on(opened, clock):
    before = RdsQueueBroker(opened("first"), "mail", owner="old", clock=clock)
    register(before.database, "old")
    before.push([Message("held", b""), Message("due", b"", delay=60), Message("later", b"", delay=3600)])
    assert [d.id for d in before.pop(limit=5, lease=10**6)] == ["held"]
    clock.advance(600)
    after = RdsQueueBroker(opened("second"), "mail", owner="new", clock=clock)
    register(after.database, "new")
    assert [lost.id for lost in after.recover()] == ["held"]
    assert sorted(d.id for d in after.pop(limit=5, lease=60)) == ["due", "held"]
    assert after.due_in() == pytest.approx(3000, abs=20)


def test_processes_that_are_the_first_after_a_reboot_do_not_end_each_others_leases(opened, tmp_path):
    before = opened("first")
    lease(before, 1)
    register(before, "old")
    program = """
    import sys
    from taskqueue.database import incarnations
    from taskqueue.database.engine import Database
    database = Database("sqlite:///" + sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    me = sys.argv[2]
    incarnations.register(database, me, slot="s", host="h", pid=1, kind="worker", queues=[], lease=600)
    database.close()
    """
    names = ["a", "b", "c"]
    processes = [start(program, tmp_path / "queue.db", name) for name in names]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=30) for process in processes] == [("", "")] * len(names)
    assert sorted(worker.id for worker in incarnations.alive(before)) == names
    assert incarnations.expired(before) == ["old"]
    meta = before.tables.meta.c
    with before.read() as connection:
        stored = connection.execute(sa.select(meta.value).where(meta.name == "boot_id")).scalars().all()
    assert stored == [boot.boot_id()]
