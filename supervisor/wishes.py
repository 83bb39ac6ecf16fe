"""What the configuration asks for: which pools, how many processes, and what each of them depends on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from taskqueue import snapshot
from taskqueue.settings import QueueSettings, Settings

KEEPER, WEB = "keeper", "web"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One pool, as the file has it."""

    name: str
    kind: snapshot.Kind
    queues: tuple[str, ...] = ()
    selector: str = "weighted"
    workers: int = 1
    #: whatever a process of it has read at its start: where this differs, processes must be replaced
    basis: Any = None

    @property
    def works(self) -> bool:
        """It runs tasks."""
        return self.kind in snapshot.WORKING


def wishes(settings: Settings) -> dict[str, Wish]:
    """By name: the keeper, the web server if one is wanted, each queue with workers of its own, and the pools.

    Queues whose tasks run at once where they are enqueued (memory://) need no workers.
    """
    everything = _common(settings), _own(settings, settings.queues)
    queues = [queue for queue in settings.queues.values() if queue.workers and _waits(settings, queue)]
    found = [
        Wish(name=_free(KEEPER, settings), kind="keeper", basis=everything),
        *([Wish(name=_free(WEB, settings), kind="web", basis=(everything, settings.web))] if settings.web.bind else []),
        *(_wish(settings, queue.name, "queue", (queue.name,), queue.workers) for queue in queues),
        *(
            _wish(settings, pool.name, "pool", pool.queues, pool.workers, selector=pool.selector)
            for pool in settings.pools.values()
        ),
    ]
    return {wish.name: wish for wish in found}


def _waits(settings: Settings, queue: QueueSettings) -> bool:
    return settings.brokers[queue.broker].scheme != "memory"


def _wish(
    settings: Settings,
    name: str,
    kind: Literal["queue", "pool"],
    queues: tuple[str, ...],
    workers: int,
    *,
    selector: str = "weighted",
) -> Wish:
    basis = (_common(settings), _own(settings, queues), selector)
    return Wish(name=name, kind=kind, queues=queues, selector=selector, workers=workers, basis=basis)


def _own(settings: Settings, queues: Iterable[str]) -> Any:
    return [msgspec.structs.replace(settings.queues[queue], workers=0) for queue in queues]


def _common(settings: Settings) -> Any:
    """What every process depends on. Of queues that it does not serve that is where tasks enqueue to them."""
    into = [(queue.name, queue.broker, queue.priority, queue.max_waiting) for queue in settings.queues.values()]
    return settings.app, settings.brokers, settings.task_log, settings.logging, into


def _free(name: str, settings: Settings) -> str:
    """That name, or one like it that no pool has."""
    while name in settings.queues or name in settings.pools:
        name = f"_{name}"
    return name
