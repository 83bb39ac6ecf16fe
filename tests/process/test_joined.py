"""P1: a task that an application enqueues inside its own transaction stands or falls with it, on every store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from taskqueue import Status
from taskqueue.errors import ConfigurationError
from tests.support import stores, tasks
from tests.support.servers import new_database

pytestmark = pytest.mark.process
ORDERS = sa.Table("orders", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))


@pytest.fixture(params=stores.NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture
def project(name, make_project, tmp_path):
    project = make_project(stores=stores.configured(name, tmp_path))
    project.queue.initialize()
    return project


@pytest.fixture
def engine(project, name, tmp_path) -> Iterator[sa.Engine]:
    """The application's, with a table of its own beside ours."""
    engine = sa.create_engine(stores.database_of(name, tmp_path))
    ORDERS.create(engine)
    yield engine
    ORDERS.drop(engine)
    engine.dispose()


def test_what_is_rolled_back_never_runs_and_what_is_committed_runs(project, engine):
    def order(of, number):
        of.execute(sa.insert(ORDERS), {"id": number})
        return project.queue.options(connection=of).enqueue(tasks.traced, str(project.ledger))

    with engine.connect() as connection:
        gone = [order(connection, 1)]
        connection.rollback()
        kept = [order(connection, 2)]
        connection.commit()
    with Session(engine) as session:
        gone.append(order(session, 3))
        session.rollback()
        kept.append(order(session, 4))
        session.commit()
    worker = project.worker()
    assert [handle.wait(30) for handle in kept] == [Status.COMPLETED] * 2
    assert worker.stop() == 0
    assert {line[1] for line in project.lines("end")} == {handle.id for handle in kept}
    assert project.queue.task_log.stats() == {"default": {Status.COMPLETED: 2}}
    assert [project.queue.task_log.broker.get(handle.id) for handle in gone] == [None] * 2
    with engine.connect() as connection:
        assert connection.execute(sa.select(ORDERS.c.id)).scalars().all() == [2, 4]
    project.nothing_left()


def test_a_worker_that_waits_finds_a_task_once_it_is_committed(project, engine):
    worker = project.worker()
    assert project.queue.enqueue(tasks.add, 1, 1).wait(30) is Status.COMPLETED
    with engine.connect() as connection:
        handle = project.queue.options(connection=connection).enqueue(tasks.add, 2, 2)
        connection.commit()
    assert handle.wait(30) is Status.COMPLETED
    assert worker.stop() == 0


def test_a_connection_to_another_database_is_refused(project, name, tmp_path):
    other = f"sqlite:///{tmp_path}/other.db" if name.endswith("sqlite") else new_database(name.rpartition("+")[2])
    for url in (other, "sqlite://"):
        engine = sa.create_engine(url)
        with engine.connect() as connection, pytest.raises(ConfigurationError, match="but the queue is in"):
            project.queue.options(connection=connection).enqueue(tasks.add, 1, 1)
        engine.dispose()
    assert project.queue.task_log.stats() == {}
