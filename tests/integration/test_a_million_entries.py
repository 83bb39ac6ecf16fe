"""Pages of a million entries cost what pages of ten thousand cost (for `make soak`).

Counted in steps of SQLite's virtual machine, not in seconds: the same on every machine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from taskqueue.clock import SystemClock
from taskqueue.database.engine import Database
from taskqueue.ids import new_id
from taskqueue.tasklog.entry import Entry
from taskqueue.tasklog.rds import RdsTaskLogBroker
from taskqueue.tasklog.reading import TaskLog

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
STATUSES = ("completed", "completed", "completed", "failed")


@pytest.fixture
def log(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/log.db")
    yield TaskLog(RdsTaskLogBroker(database))
    database.close()


def fill(log: TaskLog, count: int) -> None:
    clock = SystemClock()
    for start in range(0, count, 10_000):
        log.broker.add(
            [
                Entry(
                    id=new_id(),
                    name=f"shop.tasks:{n % 7}",
                    queue="mail",
                    owner=f"owner {n % 50}",
                    payload=b"{}",
                    created_at=clock.micros(),
                    relayed_at=clock.micros(),
                )
                for n in range(start, start + 10_000)
            ]
        )


def _count_steps(log: TaskLog, handler: Callable[[], int] | None) -> None:
    """On the pool's one connection, which every read of this thread takes."""
    with log.broker._database.read() as connection:
        raw: sqlite3.Connection = connection.connection.driver_connection
        raw.set_progress_handler(handler, 100)


def steps(log: TaskLog, **search: object) -> int:
    """Thousands of virtual machine steps of the first two pages."""
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    _count_steps(log, count)
    page = log.search(limit=50, **search)
    if page.next:
        log.search(limit=50, after=page.next, **search)
    _count_steps(log, None)
    return counted[0]


SEARCHES = [{}, {"status": "enqueued"}, {"owner": "owner 7"}, {"name": "shop.tasks:3"}, {"queue": "mail"}]


def test_pages_stay_as_cheap_as_they_were(log):
    fill(log, 10_000)
    small = [steps(log, **search) for search in SEARCHES]
    fill(log, 990_000)
    large = [steps(log, **search) for search in SEARCHES]
    assert log.stats()["mail"]
    for search, before, after in zip(SEARCHES, small, large, strict=True):
        assert after <= 2 * before + 5, f"{search}: {before} became {after}"
