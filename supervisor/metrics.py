"""A snapshot as Prometheus reads it, from a file: node_exporter's textfile collector, or any reader of the format."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, get_args

from taskqueue.snapshot import Pool, Slot, SlotState, Snapshot

PREFIX = "taskqueue_supervisor_"
#: readable by the collector, which runs as another user
MODE = 0o644
Labels = dict[str, str]
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Family(NamedTuple):
    """The samples of one name. A value that is None is left out."""

    name: str
    kind: str
    help: str
    samples: Iterable[tuple[Labels, float | None]]


def render(snapshot: Snapshot) -> str:
    """The text of the exposition format, version 0.0.4."""
    return "".join(line for family in families(snapshot) for line in _lines(family))


def write(path: Path, text: str) -> str | None:
    """Put `text` into the file, in one step for who reads it; what went wrong, or None."""
    # Its name ends otherwise, so that a collector that looks for *.prom passes it over.
    hidden = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
        with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        hidden.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            hidden.unlink()
        return (
            f"{path}: the metrics cannot be written ({error.strerror}); give this user write access to {path.parent}, "
            "or set [supervisor] metrics_file to another path"
        )
    return None


def families(snapshot: Snapshot) -> Iterator[Family]:
    """All that it says. Of a slot with several processes, while one takes over from the other, the first is told of."""

    def one(name: str, words: str, value: float) -> Family:
        return Family(name, "gauge", words, [({}, value)])

    labels = {"version": snapshot.version, "host": snapshot.host}
    yield Family("info", "gauge", "The supervisor that wrote this.", [(labels, 1)])
    yield one("start_time_seconds", "When it was started, since 1970.", snapshot.started_at)
    yield one("stopping", "Whether it is on its way out.", snapshot.state == "stopping")
    yield one("paused", "Whether all of this host is paused.", bool(snapshot.paused))
    yield one("problems", "Problems that somebody should see to.", len(snapshot.problems))
    yield one("degraded", "Whether a worker is missing, or there is a problem.", snapshot.degraded)
    yield from _of_pools(snapshot.pools)
    yield from _of_slots({slot.label: slot for slot in reversed([*snapshot.slots])}.values())


def _of_pools(pools: Iterable[Pool]) -> Iterator[Family]:
    def each(name: str, words: str, values: Iterable[tuple[Pool, float]]) -> Family:
        return Family(name, "gauge", words, [(_pool(pool), value) for pool, value in values])

    yield each("pool_workers_wanted", "Workers that there should be.", [(p, p.wanted) for p in pools])
    yield each("pool_workers_configured", "Workers that the file asks for.", [(p, p.configured) for p in pools])
    yield each("pool_paused", "Whether the pool is paused.", [(p, bool(p.paused)) for p in pools])
    counted = [
        (_pool(pool) | {"state": state}, sum(slot.state == state for slot in pool.slots))
        for pool in pools
        for state in get_args(SlotState)
    ]
    yield Family("pool_workers", "gauge", "Workers by state.", counted)


def _of_slots(slots: Collection[Slot]) -> Iterator[Family]:
    def each(name: str, words: str, values: Iterable[tuple[Slot, float | None]], kind: str = "gauge") -> Family:
        return Family(name, kind, words, [(_slot(slot), value) for slot, value in values])

    yield each("worker_up", "Whether the worker is ready.", [(s, s.state == "up") for s in slots])
    yield each("worker_busy", "Whether it runs a task.", [(s, s.activity == "running") for s in slots])
    yield each("worker_paused", "Whether it is paused itself.", [(s, bool(s.paused)) for s in slots])
    yield each("worker_task_age_seconds", "How long its task has run.", [(s, s.task_age) for s in slots])
    yield each("worker_age_seconds", "How long its process has run.", [(s, s.age) for s in slots])
    yield each("worker_memory_bytes", "Its private memory.", [(s, s.memory) for s in slots])
    yield each("worker_tasks_total", "Tasks that its process has done.", [(s, s.done) for s in slots], "counter")
    yield each("worker_restarts_total", "Deaths nobody ordered.", [(s, s.restarts) for s in slots], "counter")


def _pool(pool: Pool) -> Labels:
    return {"pool": pool.name, "kind": pool.kind}


def _slot(slot: Slot) -> Labels:
    return {"pool": slot.pool, "index": str(slot.index)}


def _lines(family: Family) -> Iterator[str]:
    name = PREFIX + family.name
    yield f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n"
    for labels, value in family.samples:
        if value is not None:
            said = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
            yield f"{name}{{{said}}} {_number(value)}\n" if said else f"{name} {_number(value)}\n"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
