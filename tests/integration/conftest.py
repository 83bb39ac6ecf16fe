from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database.engine import Database
from tests.support.servers import open_in
from tests.support.shell import Shell, shell


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as opened:
        yield opened


# A database at a server. Modules that are about one kind of them say so by a fixture `kind` of their own.


@pytest.fixture(params=["postgresql", "mariadb"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def opened(kind: str, tmp_path: Path) -> Iterator[Callable[..., Database]]:
    """Opens handles on it, with options of its kind."""
    with ExitStack() as stack:

        def handle(**options: object) -> Database:
            database = open_in(kind, tmp_path, **options)
            stack.callback(database.close)
            return database

        yield handle


@pytest.fixture
def database(opened: Callable[..., Database]) -> Database:
    return opened()


@pytest.fixture
def broker(database: Database) -> RdsQueueBroker:
    return RdsQueueBroker(database, "mail")


@pytest.fixture
def url(database: Database) -> sa.URL:
    """The application's own way to it."""
    return database.dialect.url
