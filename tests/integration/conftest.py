from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from taskqueue.app import App
from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.clock import Clock
from taskqueue.database.engine import Database
from taskqueue.ids import new_id
from taskqueue.settings import parse
from tests.support import sqs
from tests.support.servers import open_in
from tests.support.shell import Shell, shell
from tests.support.web import Web


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as opened:
        yield opened


# The web application


@pytest.fixture
def open_web(tmp_path: Path) -> Iterator[Callable[..., Web]]:
    """Opens applications, each in this test's folder, and closes them."""
    with ExitStack() as stack:

        def opened(**options: object) -> Web:
            made = Web(tmp_path, **options)
            stack.callback(made.close)
            return made

        yield opened


@pytest.fixture
def web(open_web: Callable[..., Web]) -> Web:
    """One with tokens."""
    return open_web()


# Queues at SQS


@pytest.fixture
def prefix() -> str:
    """What the names of this test's queues there begin with."""
    return f"t{new_id()[-12:]}_"


@pytest.fixture
def open_at_sqs(tmp_path: Path, prefix: str) -> Iterator[Callable[..., App]]:
    """Opens applications by the text of their configuration, with what it leaves open filled in."""
    apps: list[App] = []

    def opened(text: str, *, clock: Clock | None = None, **values: str) -> App:
        values |= {"region": sqs.REGION, "endpoint": sqs.endpoint(), "prefix": prefix, "folder": str(tmp_path)}
        apps.append(App(parse(text.format(**values), file=tmp_path / "taskqueue.toml"), clock=clock))
        return apps[-1]

    yield opened
    for app in apps:
        app.dispatcher.close()
        app.close()


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
