"""Four workers on two hosts run thousands of tasks; one is killed half way, the store is away once (P1, P2, P3, P15).

The hosts are folders with nothing in common but the address of the store; on SQLite, which is for one host, its file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import sqs, stores
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.own_servers import OwnMariadb, OwnPostgresql, OwnStandby
from tests.support.servers import end_sessions, in_folder, server_database
from tests.support.sqs_double import Relay

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]
#: those of every run; `make soak` has more
TASKS, MANY = 3000, 10_000
ALL = pytest.mark.parametrize("tasks", [TASKS, pytest.param(MANY, marks=pytest.mark.soak)])


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start_fleet(tmp_path: Path, stack: ExitStack) -> Callable[..., Fleet]:
    def start(stores: str) -> Fleet:
        # Longer than any outage here, on a busy machine too: what a task survives is its lease.
        fleet = Fleet(tmp_path, stores=stores, defaults='lease = "10s"')
        stack.callback(fleet.close)
        return fleet

    return start


@ALL
def test_on_sqlite(start_fleet, tmp_path, tasks):
    fleet = start_fleet(f'url = "sqlite:///{tmp_path}/tasks.db"')
    half_way(fleet, tasks=tasks, ahead=tasks)
    fleet.kill_one()
    to_the_end(fleet, tasks=tasks, ahead=tasks)


@ALL
@pytest.mark.parametrize("kind", [OwnPostgresql, OwnMariadb])
def test_on_a_server_that_crashes_and_comes_back(start_fleet, own, kind, tasks):
    server = own(kind)
    fleet = start_fleet(f'url = "{server.url}"')
    half_way(fleet, tasks=tasks, ahead=tasks)
    fleet.kill_one()
    server.restart()
    to_the_end(fleet, tasks=tasks, ahead=tasks)
    assert any("store away" in worker.log.read_text() for worker in fleet.workers)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_sessions_that_are_ended_under_load_repeat_nothing(start_fleet, tmp_path, kind):
    """R4: whether a step was committed is then unknown, and nobody has died."""
    url = in_folder(kind, tmp_path)
    fleet = start_fleet(f'url = "{url}"')
    fleet.enqueue(1500, ahead=1500)
    fleet.start()
    for ran in range(300, 1500, 300):
        fleet.ran(ran, within=60)
        assert end_sessions(kind, url)
    to_the_end(fleet, tasks=1500, ahead=1500)


def test_on_postgresql_when_its_standby_takes_over(start_fleet, own, stack):
    """The standby has each commit before it counts: nothing is lost, and nothing is repeated."""
    primary = own(OwnPostgresql)
    standby = OwnStandby(primary)
    stack.callback(standby.close)
    fleet = start_fleet(f'url = "{standby.url}"')
    fleet.enqueue(1000, ahead=1000)
    fleet.start()
    fleet.ran(300, within=60)
    standby.take_over()
    to_the_end(fleet, tasks=1500, ahead=1500)


@pytest.mark.parametrize(
    ("tasks", "seconds"),
    [(1000, 4), pytest.param(MANY, 10, marks=[pytest.mark.soak, pytest.mark.timeout(600)])],
)
def test_on_sqs_that_answers_errors_for_seconds(start_fleet, stack, tasks, seconds):
    """The server that stands for SQS here looks at all messages of a queue at each call: hence fewer, and few ahead."""
    relay = stack.enter_context(Relay(sqs.endpoint()))
    fleet = start_fleet(stores.with_sqs(server_database("postgresql"), relay.url))
    half_way(fleet, tasks=tasks, ahead=tasks // 4)
    fleet.kill_one()
    relay.broken = True
    back = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > back, what="the end of the outage")
    assert relay.refused
    relay.broken = False
    to_the_end(fleet, tasks=tasks, ahead=tasks // 4)


def half_way(fleet: Fleet, *, tasks: int, ahead: int) -> None:
    """Some tasks wait when the workers start, the others come while they work."""
    some = min(tasks // 4, ahead)
    fleet.enqueue(some, ahead=ahead)
    fleet.start()
    fleet.enqueue(tasks // 2 - some, ahead=ahead)
    fleet.ran(tasks // 2 - ahead // 2, within=300)


def to_the_end(fleet: Fleet, *, tasks: int, ahead: int) -> None:
    fleet.enqueue(tasks - len(fleet.enqueued), ahead=ahead)
    fleet.ran(tasks, within=300)
    fleet.all_completed()
    fleet.stop()
    fleet.verify()
