"""Workers behind a real PgBouncer, which lends two sessions of the server to all of them, a transaction at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from taskqueue import Status
from taskqueue.errors import ConfigurationError
from tests.support import tasks
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.own_servers import Unreachable
from tests.support.pgbouncer import OwnPgbouncer
from tests.support.servers import in_folder, skip_or_fail

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


@pytest.fixture
def direct_url(tmp_path) -> str:
    """Past the pooler."""
    return in_folder("postgresql", tmp_path)


@pytest.fixture
def pooled(direct_url) -> Iterator[Callable[..., str]]:
    """Starts a pooler; the URL of the same database through it."""
    with ExitStack() as stack:

        def start(**options) -> str:
            try:
                bouncer = OwnPgbouncer(direct_url, **options)
            except Unreachable as reason:
                skip_or_fail(f"{reason}; install Debian's pgbouncer")
            stack.callback(bouncer.close)
            return bouncer.url

        yield start


@pytest.fixture
def start_fleet(tmp_path) -> Iterator[Callable[[str], Fleet]]:
    with ExitStack() as stack:

        def start(stores: str) -> Fleet:
            fleet = Fleet(tmp_path, stores=stores, defaults='lease = "5s"')
            stack.callback(fleet.close)
            return fleet

        yield start


@pytest.mark.parametrize("option", ["listen = false", 'direct_url = "{direct}"'])
def test_four_workers_share_two_sessions(start_fleet, pooled, direct_url, option):
    fleet = start_fleet(f'url = "{pooled()}"\n{option.format(direct=direct_url)}')
    fleet.start()
    fleet.enqueue(500, ahead=500)
    fleet.ran(250, within=60)
    fleet.kill_one()
    fleet.enqueue(500, ahead=500)
    fleet.ran(1000, within=60)
    fleet.all_completed()
    fleet.stop()
    fleet.verify()


def test_by_direct_url_an_idle_worker_is_woken(make_project, pooled, direct_url):
    """Who is not woken looks up to every five seconds."""
    project = make_project(stores=f'url = "{pooled()}"\ndirect_url = "{direct_url}"')
    worker = project.worker()
    for _ in range(3):
        assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    eventually(lambda: listeners(direct_url) == 1, what="the worker's session that listens")
    assert project.queue.enqueue(tasks.add, 1, 2).wait(2) is Status.COMPLETED
    assert worker.stop() == 0


def listeners(url: str) -> int:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        question = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%%'"
        found: int = connection.exec_driver_sql(question).scalar_one()
    engine.dispose()
    return found


def test_who_forgot_to_say_so_is_told(make_project, pooled):
    url = pooled()
    project = make_project(stores=f'url = "{url}"')
    with pytest.raises(ConfigurationError, match=r"each transaction another session.*set listen = false.*direct_url"):
        project.queue.enqueue(tasks.add, 1, 1)
    worker = project.worker()
    assert worker.wait() == 78
    said = worker.log.read_text()
    assert "set listen = false beside the url, or direct_url to the server itself" in said
    assert "Traceback" not in said


def test_a_direct_url_that_leads_to_the_pooler_is_told(make_project, pooled):
    url = pooled()
    project = make_project(stores=f'url = "{url}"\ndirect_url = "{url}"')
    worker = project.worker()
    assert worker.wait() == 78
    assert "let direct_url lead to the server itself" in worker.log.read_text()


def test_where_each_client_keeps_its_session_nothing_needs_to_be_said(make_project, pooled, direct_url):
    project = make_project(stores=f'url = "{pooled(mode="session", sessions=20)}"')
    worker = project.worker()
    assert project.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    eventually(lambda: listeners(direct_url) == 1, what="the worker's session that listens")
    assert project.queue.enqueue(tasks.add, 1, 2).wait(2) is Status.COMPLETED
    assert worker.stop() == 0
