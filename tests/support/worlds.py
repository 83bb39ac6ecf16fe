"""Broker and task log together, in each kind of store, under one clock that only the test moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from taskqueue.brokers import sqs as sqs_broker
from taskqueue.brokers import sqs_held
from taskqueue.brokers.base import Broker
from taskqueue.brokers.lanes import Lanes
from taskqueue.brokers.memory import InMemoryQueueBroker
from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.brokers.sqs import SqsQueueBroker
from taskqueue.database import incarnations
from taskqueue.database.engine import Database
from taskqueue.queue import Limits, Queue
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.tasklog.memory import InMemoryTaskLogBroker
from taskqueue.tasklog.rds import RdsTaskLogBroker
from tests.support import sqs
from tests.support.clock import FakeClock
from tests.support.servers import open_in


class World:
    """`queue` gives another handle on a queue, as another worker would hold it."""

    def __init__(
        self,
        clock: FakeClock,
        log: TaskLogBroker,
        broker: Callable[[str], Broker],
        *,
        messages: Database | None = None,
        entries: Database | None = None,
        move: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.clock, self.log, self.entries = clock, log, entries
        self._broker, self._messages, self.move = broker, messages, move

    def queue(self, name: str, owner: str, limits: Limits) -> Queue:
        queue = Queue(
            self._broker(name),
            self.log,
            limits=limits,
            database=self.entries if self._messages is self.entries else None,
            log_database=self.entries,
            clock=self.clock,
        )
        for database in {self._messages, self.entries} - {None}:
            self._register(database, owner)
        queue.broker.owner = owner
        return queue

    def _register(self, database: Database, owner: str) -> None:
        """A worker that may claim until it is declared dead."""
        place: dict[str, Any] = {"slot": "here", "host": "here", "pid": 1, "kind": "worker", "queues": ()}
        incarnations.register(database, owner, **place, lease=10**8)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.move(seconds)


def _at(clock: FakeClock, database: Database) -> Database:
    """Its store's time is the test's."""
    database.dialect.lease_now = database.dialect.due_now = lambda _connection: clock.now
    return database


def _memory(_folder: Path, _stack: ExitStack, clock: FakeClock) -> World:
    lanes: defaultdict[str, Lanes] = defaultdict(Lanes)

    def broker(name: str) -> Broker:
        return InMemoryQueueBroker(name, lanes=lanes[name], immediate=False, clock=clock)

    return World(clock, InMemoryTaskLogBroker(clock=clock), broker)


def _sqlite(folder: Path, stack: ExitStack, clock: FakeClock, file: str = "tasks.db") -> Database:
    database = _at(clock, Database(f"sqlite:///{folder / file}"))
    database.initialize()
    stack.callback(database.close)
    return database


def _one(database: Database, clock: FakeClock) -> World:
    return _two(database, database, clock)


def _two(messages: Database, entries: Database, clock: FakeClock) -> World:
    def broker(name: str) -> Broker:
        return RdsQueueBroker(messages, name, clock=clock)

    return World(clock, RdsTaskLogBroker(entries, clock=clock), broker, messages=messages, entries=entries)


def _server(kind: str) -> Callable[[Path, ExitStack, FakeClock], World]:
    def opened(folder: Path, stack: ExitStack, clock: FakeClock) -> World:
        database = _at(clock, open_in(kind, folder))
        stack.callback(database.close)
        world = _one(database, clock)
        if database.dialect.now is not None:
            world.move = _clock_in(database, clock)
        return world

    return opened


def _clock_in(database: Database, clock: FakeClock) -> Callable[[float], None]:
    """Where statements ask for the time themselves they read it in a table; what sets it."""
    database.dialect.now = sa.literal_column("(SELECT now FROM test_clock)", sa.BigInteger())

    def tell(*statements: str) -> None:
        with database.begin() as tx:
            for statement in statements:
                tx.connection.exec_driver_sql(statement)

    tell(
        "DROP TABLE IF EXISTS test_clock",
        "CREATE TABLE test_clock (now bigint)",
        f"INSERT INTO test_clock VALUES ({clock.now})",
    )
    return lambda _seconds: tell(f"UPDATE test_clock SET now = {clock.now}")


def _sqs(folder: Path, stack: ExitStack, clock: FakeClock) -> World:
    entries = _sqlite(folder, stack, clock)
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    for module in (sqs_broker, sqs_held):
        patch.setattr(module, "time", clock)  # what a handle holds is by its own clock
    options = {"endpoint_url": sqs.endpoint(), "prefix": f"m{folder.stat().st_ino}_", "wait_time": 0}

    def broker(name: str) -> Broker:
        opened = SqsQueueBroker(name, region=sqs.REGION, options=options)
        stack.callback(opened.close)
        opened.initialize()
        return opened

    log = RdsTaskLogBroker(entries, clock=clock)
    return World(clock, log, broker, entries=entries, move=sqs.advance)


WORLDS: dict[str, Callable[[Path, ExitStack, FakeClock], World]] = {
    "memory": _memory,
    "sqlite": lambda folder, stack, clock: _one(_sqlite(folder, stack, clock), clock),
    "two stores": lambda folder, stack, clock: _two(
        _sqlite(folder, stack, clock, "messages.db"), _sqlite(folder, stack, clock, "entries.db"), clock
    ),
    "postgresql": _server("postgresql"),
    "mariadb": _server("mariadb"),
    "sqs": _sqs,
}


@contextmanager
def world(kind: str, folder: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield WORLDS[kind](folder, stack, FakeClock())
