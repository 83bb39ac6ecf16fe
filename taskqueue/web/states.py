"""What the API says of queues, hosts, workers and orders: plain values, which OpenAPI describes as they stand here."""

from __future__ import annotations

from typing import Literal

import msgspec

from taskqueue import snapshot
from taskqueue.database.incarnations import Incarnation
from taskqueue.operations import hosts
from taskqueue.operations.queues import QueueState
from taskqueue.operations.times import rfc3339
from taskqueue.web.values import Time


class Pause(msgspec.Struct, frozen=True):
    """Who has paused it, and when."""

    by: str
    at: Time | None


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """One queue. `oldest` is how long its oldest due task has waited, in seconds; `workers` null: nobody can know."""

    name: str
    waiting: int
    delayed: int
    leased: int
    #: the counts are about so many
    approximate: bool
    oldest: float | None
    workers: int | None
    paused: Pause | None
    store: str


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A process that is registered and alive. `lease` is for how long it is taken for alive, in seconds."""

    id: str
    slot: str
    host: str
    pid: int
    kind: str
    queues: list[str]
    state: str
    started_at: Time | None
    lease: float


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host and the last word of its supervisor; `snapshot` null: another release wrote it."""

    name: str
    alive: bool
    seen_at: Time | None
    snapshot: snapshot.Snapshot | None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a host's supervisor is to do, and its answer. Lost: nobody took it in time, or nobody knows."""

    id: str
    host: str
    command: str
    target: str | None
    workers: int | None
    by: str
    state: Literal["waiting", "done", "refused", "lost"]
    answer: str
    created_at: Time | None
    ended_at: Time | None


def queue_of(state: QueueState) -> Queue:
    """The queue as the API has it."""
    return Queue(
        name=state.queue,
        waiting=state.waiting,
        delayed=state.delayed,
        leased=state.leased,
        approximate=state.approximate,
        oldest=state.oldest,
        workers=state.workers,
        paused=Pause(state.pause.by, rfc3339(state.pause.at)) if state.pause else None,
        store=state.store,
    )


def worker_of(one: Incarnation) -> Worker:
    """The worker as the API has it."""
    return Worker(
        id=one.id,
        slot=one.slot,
        host=one.host,
        pid=one.pid,
        kind=one.kind,
        queues=list(one.queues),
        state=one.state,
        started_at=rfc3339(one.started_at),
        lease=one.lease,
    )


def host_of(host: hosts.Host) -> Host:
    """The host as the API has it."""
    return Host(name=host.name, alive=host.alive, seen_at=rfc3339(host.seen), snapshot=host.snapshot)


def order_of(made: hosts.Order) -> Order:
    """The order as the API has it."""
    return Order(
        id=made.id,
        host=made.host,
        command=made.command,
        target=made.target,
        workers=made.workers,
        by=made.by,
        state=made.state,
        answer=made.answer,
        created_at=rfc3339(made.created_at),
        ended_at=rfc3339(made.ended_at),
    )
