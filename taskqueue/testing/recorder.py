"""What was enqueued: a task log that remembers it in order, and how a test sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from taskqueue import codec
from taskqueue.clock import Clock
from taskqueue.errors import TaskQueueError
from taskqueue.handle import Handle
from taskqueue.options import TaskOptions
from taskqueue.registry import Registry
from taskqueue.tasklog.entry import Entry
from taskqueue.tasklog.memory import InMemoryTaskLogBroker


class Enqueued(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was enqueued: by what name, with which parameters, for which queue.

    `options` is what was said at the enqueue, `delay` how many seconds later it is due. `handle` asks what became of
    it. Positional-only and starred arguments are in `args`.
    """

    name: str
    parameters: Mapping[str, Any]
    args: tuple[Any, ...] = ()
    queue: str
    priority: int
    delay: float = 0.0
    options: TaskOptions
    owner: str | None = None
    label: str | None = None
    category: str | None = None
    group: str | None = None
    key: str | None = None
    parent_id: str | None = None
    handle: Handle[Any]

    @property
    def id(self) -> str:
        """The task's id."""
        return self.handle.id


class Recorder(InMemoryTaskLogBroker):
    """A task log in memory that keeps what came in, in the order in which it came."""

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.added: list[Entry] = []

    def add(self, entries: Sequence[Entry]) -> list[str]:
        new = super().add(entries)
        self.added += [entry for entry in entries if entry.id in new]
        return new


def enqueued(entry: Entry, handle: Handle[Any], registry: Registry) -> Enqueued:
    """An entry as a test sees it. The parameters are those that the task will get, after the wire."""
    parameters, args = _arguments(entry.payload, registry)
    return Enqueued(
        name=entry.name,
        parameters=parameters,
        args=args,
        queue=entry.queue,
        priority=entry.priority,
        delay=((entry.due_at or entry.created_at) - entry.created_at) / 1e6,
        options=codec.peek(entry.payload).options,
        owner=entry.owner,
        label=entry.label,
        category=entry.category,
        group=entry.group_name,
        key=entry.unique_key,
        parent_id=entry.parent_id,
        handle=handle,
    )


def _arguments(payload: bytes, registry: Registry) -> tuple[Mapping[str, Any], tuple[Any, ...]]:
    try:
        task = codec.decode(payload, registry).task
    except TaskQueueError:  # enqueued by name: its code is elsewhere
        return codec.masked_parameters(payload), ()
    return dict(task.parameters), getattr(task, "_extra", ())
