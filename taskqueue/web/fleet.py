"""Hosts, pools and workers over HTTP: who is there, what supervisors say, and orders to them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from taskqueue.operations import doctor
from taskqueue.operations import hosts as operations
from taskqueue.operations.doctor import Finding
from taskqueue.operations.workers import workers as registered
from taskqueue.web.desk import Desk
from taskqueue.web.problems import Problem
from taskqueue.web.sampler import WATCHED
from taskqueue.web.states import Host, Order, Worker, host_of, order_of, worker_of


class Scale(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many workers."""

    workers: Annotated[int, Meta(ge=0, le=1000)]


class Health(msgspec.Struct, frozen=True):
    """What `taskqueue doctor` finds; `well`: nothing needs a hand."""

    well: bool
    findings: list[Finding]


def workers(desk: Desk) -> list[Worker]:
    """The workers and keepers of all hosts that are registered and alive, oldest first."""
    return [worker_of(one) for one in registered(desk.app)]


def hosts(desk: Desk) -> list[Host]:
    """All hosts that have a supervisor, and what it says; asked often, it is a second old, else ten."""
    operations.watch(desk.app, WATCHED)
    return [host_of(one) for one in operations.hosts(desk.app)]


def health(desk: Desk) -> Health:
    """What is wrong, and what to do about it."""
    findings = doctor.examine(desk.app)
    return Health(all(finding.well for finding in findings), findings)


def order(desk: Desk, order_id: str) -> Order:
    """How far an order is."""
    return order_of(operations.order_of(desk.app, order_id))


def pause_host(desk: Desk, host: str) -> Order:
    """Let no worker of this host start a task."""
    return _order(desk, host, "pause")


def resume_host(desk: Desk, host: str) -> Order:
    """Let the workers of this host go on."""
    return _order(desk, host, "resume")


def scale(desk: Desk, host: str, pool: str, body: Scale) -> Order:
    """Another number of workers in a pool of this host, until its file's own number changes."""
    return _order(desk, host, "scale", pool, body.workers)


def restart(desk: Desk, host: str, pool: str) -> Order:
    """Replace the workers of a pool of this host one after the other, each when its task has ended."""
    return _order(desk, host, "restart", pool)


def pause(desk: Desk, host: str, pool: str) -> Order:
    """Let no worker of a pool of this host start a task."""
    return _order(desk, host, "pause", pool)


def resume(desk: Desk, host: str, pool: str) -> Order:
    """Let the workers of a pool of this host go on."""
    return _order(desk, host, "resume", pool)


def scale_everywhere(desk: Desk, pool: str, body: Scale) -> list[Order]:
    """The same on every living host that has this pool: so many workers on each."""
    return [_order(desk, host, "scale", pool, body.workers) for host in _with_pool(desk, pool)]


def restart_everywhere(desk: Desk, pool: str) -> list[Order]:
    """The same on every living host that has this pool."""
    return [_order(desk, host, "restart", pool) for host in _with_pool(desk, pool)]


def pause_everywhere(desk: Desk, pool: str) -> list[Order]:
    """The same on every living host that has this pool."""
    return [_order(desk, host, "pause", pool) for host in _with_pool(desk, pool)]


def resume_everywhere(desk: Desk, pool: str) -> list[Order]:
    """The same on every living host that has this pool."""
    return [_order(desk, host, "resume", pool) for host in _with_pool(desk, pool)]


def _order(
    desk: Desk, host: str, command: operations.Command, pool: str | None = None, workers: int | None = None
) -> Order:
    return order_of(operations.order(desk.app, host, command, target=pool, workers=workers, by=desk.by))


def _with_pool(desk: Desk, pool: str) -> list[str]:
    """The living hosts that have it; one whose word cannot be read may have it."""
    found = [
        host.name
        for host in operations.hosts(desk.app)
        if host.alive and (host.snapshot is None or any(one.name == pool for one in host.snapshot.pools))
    ]
    if not found:
        raise Problem(404, f"no living host has a pool {pool[:200]!r}; GET /api/v1/hosts shows what there is")
    return found
