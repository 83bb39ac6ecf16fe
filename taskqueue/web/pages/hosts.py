"""Hosts, pools and workers as rows and words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from taskqueue.database.incarnations import Incarnation
from taskqueue.operations.hosts import Host
from taskqueue.operations.times import seconds
from taskqueue.operations.words import count
from taskqueue.snapshot import Pause, Pool, Slot, Snapshot
from taskqueue.web.pages.board import Moment

_ATTENDS = {"keeper": "gives back what the dead held", "web": "serves these pages"}


class Tag(msgspec.Struct, frozen=True):
    """A few words that stand out."""

    text: str
    level: str = ""


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A worker in a table."""

    name: str
    state: str
    task: str = ""
    task_id: str = ""
    task_for: str = ""
    note: str = ""
    level: str = "dim"
    age: str = ""
    done: int = 0
    restarts: int = 0
    memory: str = ""


class PoolView(msgspec.Struct, frozen=True, kw_only=True):
    """A pool and what can be said to it. `touches` says how many tasks an order would have to do with."""

    name: str
    #: it runs tasks, rather than attending to those who do
    works: bool
    up: int
    wanted: int
    level: str
    paused: bool
    tags: list[Tag]
    about: str
    touches: str


class HostView(msgspec.Struct, frozen=True, kw_only=True):
    """A host with its workers. `silence` is what to say where nothing is known of them."""

    name: str
    index: int
    alive: bool = True
    paused: bool = False
    tags: list[Tag] = []
    summary: str = ""
    workers: list[WorkerRow] = []
    pools: list[PoolView] = []
    silence: str = ""
    touches: str = ""


def host_views(moment: Moment) -> list[HostView]:
    """All hosts, and workers that run without a supervisor as a host of their own kind."""
    found = [_host(index, host) for index, host in enumerate(moment.hosts, 1)]
    if moment.alone:
        rows = [_alone(one, moment.now) for one in moment.alone]
        alone = "Workers without a supervisor"
        found.append(HostView(name=alone, index=len(found) + 1, alive=False, workers=rows, summary=""))
    return found


def _host(index: int, host: Host) -> HostView:
    snapshot = host.snapshot
    if snapshot is None:
        words = "Another release of the supervisor runs there; this one cannot read what it says."
        return HostView(name=host.name, index=index, alive=host.alive, tags=_silent(host), silence=words)
    busy = sum(slot.activity == "running" for slot in snapshot.slots)
    return HostView(
        name=host.name,
        index=index,
        alive=host.alive,
        paused=bool(snapshot.paused),
        tags=[*_silent(host), *_host_tags(snapshot)],
        summary=f"{count(busy, 'task')} running · up {seconds(snapshot.uptime)} · {snapshot.version}",
        workers=[_worker(slot, pool, host.alive) for pool in snapshot.pools for slot in pool.slots],
        pools=[_pool(pool) for pool in snapshot.pools],
        silence="Its supervisor has no pools.",
        touches=_touches(snapshot.slots),
    )


def _silent(host: Host) -> list[Tag]:
    if host.alive:
        return []
    return [Tag(f"not heard of for {seconds(-host.lease)}", "bad")]


def _host_tags(snapshot: Snapshot) -> Iterator[Tag]:
    pools = [pool for pool in snapshot.pools if pool.works]
    up, wanted = sum(pool.up for pool in pools), sum(pool.wanted for pool in pools)
    if snapshot.state != "running":
        yield Tag(snapshot.state, "warn")
    yield Tag(f"{up} of {count(wanted, 'worker')} up", "good" if up >= wanted else "bad")
    yield from (Tag(pause_words(pause), "warn") for pause in snapshot.paused)
    yield from (Tag(problem, "bad") for problem in snapshot.problems)


def _pool(pool: Pool) -> PoolView:
    tags = [Tag(pause_words(pause), "warn") for pause in pool.paused]
    if pool.scaled:
        tags.append(Tag(f"{pool.wanted} by hand, {pool.configured} in the file", "warn"))
    return PoolView(
        name=pool.name,
        works=pool.works,
        up=pool.up,
        wanted=pool.wanted,
        level="good" if pool.up >= pool.wanted else "bad",
        paused=any(pause.scope == "pool" for pause in pool.paused),
        tags=tags,
        about=f"serves {', '.join(pool.queues)}" if pool.kind == "pool" else _ATTENDS.get(pool.kind, ""),
        touches=_touches(pool.slots),
    )


def _touches(slots: Iterable[Slot]) -> str:
    slots = list(slots)
    running = sum(slot.activity == "running" for slot in slots)
    verb = "runs" if running == 1 else "run"
    return f"{count(len(slots), 'worker')}; {count(running, 'task')} {verb} there now."


def _worker(slot: Slot, pool: Pool, alive: bool) -> WorkerRow:  # noqa: FBT001 - a fact of its host
    state = _state(slot) if alive else "unknown"
    if not pool.works and state in ("idle", "running"):
        state = "up"  # it works for a moment each second, which says nothing
    again = "" if slot.retry_in is None else f"again in {seconds(slot.retry_in)}"
    note = "; ".join(filter(None, [slot.note, again, *(pause_words(p) for p in slot.paused if p.scope == "slot")]))
    return WorkerRow(
        name=slot.label if pool.works else pool.name,
        state=state,
        task=slot.task_name,
        task_id=slot.task_id,
        task_for=_span(slot.task_age),
        note=note,
        level="bad" if slot.state in ("down", "fatal") else "dim",
        age=_span(slot.age),
        done=slot.done,
        restarts=slot.restarts,
        memory=size(slot.memory),
    )


def _state(slot: Slot) -> str:
    return (slot.activity or "up") if slot.state == "up" else {"boot": "booting"}.get(slot.state, slot.state)


def _alone(one: Incarnation, now: int) -> WorkerRow:
    return WorkerRow(
        name=one.slot,
        state="stopping" if one.state == "leaving" else "up",
        note=f"serves {', '.join(one.queues)}",
        age=seconds((now - one.started_at) / 1e6),
    )


def pause_words(pause: Pause) -> str:
    """`paused by ann`, with what it is of where that is not plain."""
    return f"{pause.scope} paused by {pause.by}"


def size(count_of_bytes: int | None) -> str:
    """`48 MiB`, `1.2 GiB`; nothing for None."""
    if count_of_bytes is None:
        return ""
    mebibytes = count_of_bytes / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:.1f} GiB"


def _span(length: float | None) -> str:
    return "" if length is None else seconds(length)
