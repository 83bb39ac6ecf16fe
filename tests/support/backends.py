"""The back-ends of the contract suites, one line each: a name, and how to open a handle on a store in a folder."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import msgspec

from taskqueue.brokers.base import Broker
from taskqueue.brokers.lanes import Lanes
from taskqueue.brokers.memory import InMemoryQueueBroker
from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.brokers.sqs import SqsQueueBroker
from taskqueue.database.engine import Database
from tests.support.servers import open_in
from tests.support.sqs import REGION, endpoint


class OpenBroker(Protocol):
    """Another handle on the same store, as another process would hold it."""

    def __call__(self, queue: str = "mail", *, owner: str | None = None) -> Broker: ...


class Backend(msgspec.Struct, frozen=True):
    """A broker to be tested. `connect` takes the store's folder and what closes its handles at the end."""

    name: str
    connect: Callable[[Path, ExitStack], OpenBroker]


def memory(_folder: Path, _stack: ExitStack) -> OpenBroker:
    stores: defaultdict[str, Lanes] = defaultdict(Lanes)
    return lambda queue="mail", *, owner=None: InMemoryQueueBroker(queue, owner=owner, lanes=stores[queue])


def memory_held(_folder: Path, _stack: ExitStack) -> OpenBroker:
    stores: defaultdict[str, Lanes] = defaultdict(Lanes)
    return lambda queue="mail", *, owner=None: InMemoryQueueBroker(
        queue, owner=owner, lanes=stores[queue], immediate=False
    )


def sqlite(folder: Path, stack: ExitStack) -> OpenBroker:
    def handle(queue: str = "mail", *, owner: str | None = None) -> Broker:
        database = Database(f"sqlite:///{folder / 'tasks.db'}")
        stack.callback(database.close)
        broker = RdsQueueBroker(database, queue, owner=owner)
        stack.callback(broker.close)
        broker.initialize()
        return broker

    return handle


def server(kind: str) -> Backend:
    def connect(folder: Path, stack: ExitStack) -> OpenBroker:
        def handle(queue: str = "mail", *, owner: str | None = None) -> Broker:
            database = open_in(kind, folder)
            stack.callback(database.close)
            broker = RdsQueueBroker(database, queue, owner=owner)
            stack.callback(broker.close)
            return broker

        return handle

    return Backend(kind, connect)


def sqs(folder: Path, stack: ExitStack) -> OpenBroker:
    # Queues of one folder are one store, seen by other processes too.
    options = {"endpoint_url": endpoint(), "prefix": f"t{zlib.crc32(str(folder).encode()):08x}_"}

    def handle(queue: str = "mail", *, owner: str | None = None) -> Broker:
        broker = SqsQueueBroker(queue, region=REGION, options=options, owner=owner)
        stack.callback(broker.close)
        broker.initialize()
        return broker

    return handle


BACKENDS = [
    Backend("memory", memory),
    Backend("memory-held", memory_held),
    Backend("sqlite", sqlite),
    server("postgresql"),
    Backend("sqs", sqs),
    server("mariadb"),
]
