"""Hosts: what each one's supervisor says of itself, and orders to it, from wherever the store is reached.

A host's keeper publishes its master's snapshot and takes its orders (`supervisor.work`); a host without a keeper that
lives is shown by its last word, and an order to it is lost.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from taskqueue.app import App
from taskqueue.snapshot import Snapshot

Command = Literal["pause", "resume", "scale", "restart"]
State = Literal["waiting", "done", "refused", "lost"]


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host and the last word of its supervisor."""

    name: str
    #: when it was said, in microseconds since 1970 UTC by the store's clock
    seen: int
    #: for how long its keeper is still taken for alive, in seconds; below zero: it has not been heard of for so long
    lease: float
    #: None: it could not be read (another release wrote it)
    snapshot: Snapshot | None

    @property
    def alive(self) -> bool:
        """Whether it was heard of in time."""
        return self.lease >= 0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a host's supervisor is to do. Times are microseconds since 1970 UTC."""

    id: str
    host: str
    command: Command
    #: POOL or POOL/INDEX; None: all of the host
    target: str | None = None
    #: for `scale`
    workers: int | None = None
    by: str
    created_at: int
    ended_at: int | None = None
    state: State = "waiting"
    #: one line of the supervisor, or why nobody can know what became of it
    answer: str = ""


def hosts(app: App) -> list[Host]:
    """All hosts that have a supervisor, by name. Raises BrokerUnavailable."""
    raise NotImplementedError


def watch(app: App, seconds: float) -> None:
    """Ask the keepers to publish each second for so long, instead of every 10 s. Raises BrokerUnavailable."""
    raise NotImplementedError


def order(
    app: App, host: str, command: Command, *, target: str | None = None, workers: int | None = None, by: str
) -> Order:
    """Leave an order for that host's supervisor; it is taken within about a second.

    Raises UnknownHost if there is no such host, and BrokerUnavailable.
    """
    raise NotImplementedError


def order_of(app: App, order_id: str) -> Order:
    """How far an order is. Raises UnknownOrder, BrokerUnavailable."""
    raise NotImplementedError
