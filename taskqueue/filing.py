"""From a task to what is stored of it: its queue, its entry and its message. Pure, but for the clock passed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from taskqueue import codec
from taskqueue.clock import Clock, to_micros
from taskqueue.errors import InvalidArguments, UnknownQueue, did_you_mean
from taskqueue.ids import new_id
from taskqueue.message import Message
from taskqueue.options import NOTHING_SAID, TaskOptions, check_name, merge
from taskqueue.queue import Queue
from taskqueue.task.base import AbstractTask, NamedTask
from taskqueue.tasklog.entry import Entry

#: the others are the entry's or the queue's
_CARRIED = ("retries", "backoff", "backoff_factor", "backoff_max", "timeout", "max_crashes")


class Filed(msgspec.Struct, frozen=True):
    """A task, ready to be stored."""

    queue: Queue
    entry: Entry
    message: Message


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What was said at the enqueue."""

    options: TaskOptions = NOTHING_SAID
    #: of the options, what the worker needs to be told with the message
    carried: TaskOptions = NOTHING_SAID
    eta: datetime | None = None
    owner: str | None = None
    label: str | None = None
    category: str | None = None
    group: str | None = None
    key: str | None = None
    id: str | None = None
    connection: Any = None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Said:
        """From keyword arguments; raises InvalidArguments for what does not fit."""
        options = {name: said[name] for name in TaskOptions.__struct_fields__ if name in said}
        facts = {name: value for name, value in said.items() if name not in options}
        unknown = sorted(set(facts) - set(cls.__struct_fields__) | ({"options", "carried"} & set(facts)))
        if unknown:
            raise InvalidArguments(f"unknown option {unknown[0]!r}; see taskqueue.options.EnqueueOptions")
        if facts.get("eta") is not None and options.get("delay") is not None:
            raise InvalidArguments("delay and eta are two ways to say the same; give one of them")
        for name in ("group", "key"):
            if facts.get(name) is not None:
                check_name(name, facts[name])
        if facts.get("id") is not None and facts.get("key") is not None:
            raise InvalidArguments("id and key both say which task not to enqueue twice; give one of them")
        carried = TaskOptions(**{name: value for name, value in options.items() if name in _CARRIED})
        return cls(options=TaskOptions(**options), carried=carried, **facts)


class Router:
    """Which queue a task goes to: as said at the enqueue, else at the task, else by the routes, else the default."""

    def __init__(self, queues: Mapping[str, Queue], default_queue: str, routes: Mapping[str, str]) -> None:
        self._queues = queues
        self._default = default_queue
        self._routes = {name: self.named(queue) for name, queue in routes.items()}
        self.named(default_queue)

    def named(self, name: str) -> Queue:
        """The queue of that name; UnknownQueue says which was perhaps meant."""
        try:
            return self._queues[name]
        except KeyError:
            hint = did_you_mean(name, self._queues) or f"; known: {', '.join(sorted(self._queues))}"
            raise UnknownQueue(f"no queue {name!r} in the configuration{hint}") from None

    def queue_of(self, name: str, options: TaskOptions) -> Queue:
        """Where a task of that name goes."""
        if options.queue is not None:
            return self.named(options.queue)
        return self._routes.get(name) or self.named(self._default)


def file(
    task: AbstractTask,
    said: Said,
    router: Router,
    clock: Clock,
    *,
    parent: str | None = None,
    trace: Mapping[str, str] | None = None,
) -> Filed:
    """Encode the task once and describe it. Raises EncodingError, InvalidArguments, NotEnqueueable."""
    name = task.name
    options = merge(said.options, _own_options(task))
    now = clock.micros()
    delay = _delay(options, said.eta, now)
    queue = router.queue_of(name, options)
    priority = queue.limits.priority if options.priority is None else options.priority
    _refuse_group(queue, said)
    _mark(task, said, parent)
    body = codec.encode(task, said.carried, trace=trace)
    entry = Entry(
        id=task.id,
        name=name,
        queue=queue.name,
        priority=priority,
        label=task.label,
        owner=task.owner,
        category=task.category,
        parent_id=task.parent_id,
        master_status=task.master_status,
        payload=body,
        created_at=now,
        due_at=now + int(delay * 1e6) if delay else None,
        group_name=said.group,
        unique_key=said.key,
    )
    return Filed(queue, entry, Message(task.id, body, priority, delay, group=said.group))


def _refuse_group(queue: Queue, said: Said) -> None:
    if said.group is not None and not queue.broker.capabilities.groups:
        raise InvalidArguments(
            f"queue {queue.name!r} has no groups, so that nothing would run group {said.group!r} in order; name a "
            "queue that has them (at sqs:// those whose name ends in .fifo), or leave out group"
        )


def file_again(old: Entry, queue: Queue, clock: Clock, *, trace: Mapping[str, str] | None = None) -> Filed:
    """An ended task once more: same parameters, owner, parent and group, under a new id. Its key stays with the old."""
    now, fresh = clock.micros(), new_id()
    body = codec.reissue(old.payload, id=fresh, created_at=now, trace=trace)
    entry = Entry(
        id=fresh,
        name=old.name,
        queue=old.queue,
        priority=old.priority,
        label=old.label,
        owner=old.owner,
        category=old.category,
        parent_id=old.parent_id,
        master_status=old.master_status,
        retry_of=old.id,
        payload=body,
        created_at=now,
        group_name=old.group_name,
    )
    return Filed(queue, entry, Message(fresh, body, old.priority, group=old.group_name))


def _own_options(task: AbstractTask) -> TaskOptions:
    return NOTHING_SAID if isinstance(task, NamedTask) else task.definition.options


def _mark(task: AbstractTask, said: Said, parent: str | None) -> None:
    task.owner = task.owner if said.owner is None else said.owner
    task.label = task.label if said.label is None else said.label
    task.category = task.category if said.category is None else said.category
    task.parent_id = task.parent_id if parent is None else parent


def _delay(options: TaskOptions, eta: datetime | None, now: int) -> float:
    if eta is None:
        return options.delay or 0.0
    try:
        return max(0.0, (to_micros(eta) - now) / 1e6)
    except ValueError as error:
        raise InvalidArguments(f"eta: {error}") from None
