"""Storing what is filed: in the transactions that hold it together, and in the sight of a tracer, if there is one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from taskqueue import codec
from taskqueue.database.engine import Database
from taskqueue.errors import ConfigurationError
from taskqueue.filing import Filed
from taskqueue.hooks import HOOKS
from taskqueue.message import Message
from taskqueue.queue import Parent, Queue
from taskqueue.shield import SHIELD
from taskqueue.tasklog.entry import Entry

Stored = tuple[list[Filed], dict[str, str]]


def send(
    filing: Callable[[Mapping[str, str] | None], list[Filed]],
    put: Callable[[list[Filed]], dict[str, str]],
    *,
    repeats: Sequence[Entry] = (),
) -> Stored:
    """What was filed, and what `put` said of it. The tracer follows, if there is one.

    `filing` is given what it sends along; `repeats` are entries whose messages are repeated.
    """
    if (tracer := HOOKS.tracer) is None:
        filed = filing(None)
        return filed, put(filed)
    with tracer.sending(repeats=[codec.peek(old.payload).trace for old in repeats]) as sent:
        filed = filing(sent.headers)
        sent.describe([(f.entry.id, f.queue.name, f.entry.name) for f in filed])
        return filed, put(filed)


def put(
    filed: Sequence[Filed], *, parent: Parent | None, connection: Any, run_now: Callable[[Queue], None]
) -> dict[str, str]:
    """Store these, all or none; of those whose key was there already, the id that it names.

    The children of `parent` are stored under its fence; `connection` is the application's own. `run_now` runs what
    waits in a queue that is `immediate` (memory).
    """
    by_queue: dict[Queue, list[tuple[Entry, Message]]] = defaultdict(list)
    for f in filed:
        by_queue[f.queue].append((f.entry, f.message))
    queues, there = list(by_queue), dict[str, str]()
    with ExitStack() as together:
        for database in _databases(queues, connection):
            together.enter_context(SHIELD())
            together.enter_context(database.join(connection) if connection is not None else database.begin())
        for queue in queues:
            new = set(queue.enqueue(by_queue[queue], parent=parent, joined=connection is not None))
            there |= _keyed(queue, [entry for entry, _ in by_queue[queue] if entry.id not in new])
    for queue in queues:
        if queue.broker.capabilities.immediate:
            run_now(queue)
    return there


def _keyed(queue: Queue, entries: Sequence[Entry]) -> dict[str, str]:
    found = {e.id: queue.task_log.keyed(queue.name, e.unique_key) for e in entries if e.unique_key is not None}
    return {new: old for new, old in found.items() if old is not None}


def _databases(queues: Sequence[Queue], connection: Any) -> list[Database]:
    """The databases whose transactions hold these queues together."""
    if connection is not None:
        joined = [queue.log_database for queue in queues]
        for queue, database in zip(queues, joined, strict=True):
            if database is None:
                raise ConfigurationError(
                    f"queue {queue.name!r} keeps its task log in no database, so that connection= cannot be joined"
                )
        return list({id(database): database for database in joined if database is not None}.values())
    if len(queues) < 2:
        return []  # one queue makes its own transaction, and repeats it when another writer was in the way
    shared = [queue.database for queue in queues if queue.database is not None]
    return list({id(database): database for database in shared}.values())
