"""A snapshot in words: what `supervisor status` says of the host, of each pool and of each worker."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple, assert_never

from taskqueue.cli.terminal import Styled
from taskqueue.operations.times import ago, seconds
from taskqueue.operations.words import count
from taskqueue.snapshot import Pause, Pool, Slot, Snapshot

#: for people, and for what reads a pipe
COLUMNS = ("Worker", "State", "Pid", "Age", "Task", "Id", "For", "Done", "Restarts", "Memory")
PLAIN = (*COLUMNS, "Paused", "Note")
GOOD, BUSY, WAITING, BAD = "green", "bold cyan", "yellow", "bold red"


class Row(NamedTuple):
    """A line for people: cells of COLUMNS, of which the last may be missing, and what else there is to say."""

    cells: Sequence[Styled]
    note: Styled


def rows(snapshot: Snapshot) -> Iterator[Row]:
    """A row for each pool, and below it one for each of its workers."""
    for pool in snapshot.pools:
        alone = not pool.works and len(pool.slots) == 1
        if not alone:
            yield Row((Styled(pool.name, "bold"), _capacity(pool)), _about(pool))
        for slot in pool.slots:
            name = Styled(pool.name, "bold") if alone else Styled(f"  {slot.label}", "")
            yield Row((name, state(slot), *_facts(slot)), _remark(slot, known={*snapshot.paused, *pool.paused}))


def plain_rows(snapshot: Snapshot) -> Iterator[Sequence[str]]:
    """PLAIN: a line for each worker."""
    for pool in snapshot.pools:
        for slot in pool.slots:
            pauses = dict.fromkeys((*(snapshot.paused if pool.works else ()), *pool.paused, *slot.paused))
            facts = [slot.pid or "", _span(slot.age), slot.task_name, slot.task_id, _span(slot.task_age), slot.done]
            counts = [slot.restarts, "" if slot.memory is None else slot.memory]
            paused = "; ".join(map(pause_text, pauses))
            words = (slot.label, state(slot).text, *facts, *counts, paused, _trouble(slot))
            yield tuple(map(str, words))


def headline(snapshot: Snapshot) -> list[Styled]:
    """The first line: how it is, in parts of their own colour."""
    workers = [pool for pool in snapshot.pools if pool.works]
    up, wanted = sum(pool.up for pool in workers), sum(pool.wanted for pool in workers)
    busy = sum(slot.activity == "running" for pool in workers for slot in pool.slots)
    how = Styled("paused", WAITING) if snapshot.paused and snapshot.state == "running" else _phase(snapshot)
    return [
        Styled(snapshot.host, "bold"),
        how,
        Styled(f"{up} of {count(wanted, 'worker')} up", GOOD if up >= wanted else BAD),
        Styled(f"{count(busy, 'task')} running", BUSY if busy else ""),
        Styled(f"started {seconds(snapshot.uptime)} ago", "dim"),
        Styled(f"pid {snapshot.pid}", "dim"),
        Styled(snapshot.config, "dim"),
    ]


def remarks(snapshot: Snapshot) -> Iterator[Styled]:
    """What somebody should know before the table."""
    for problem in snapshot.problems:
        yield Styled(problem, BAD)
    for pause in snapshot.paused:
        yield Styled(pause_text(pause), WAITING)


def state(slot: Slot) -> Styled:
    """How a worker is, in a word."""
    match slot.state:
        case "down":
            return Styled("down", BAD)
        case "boot":
            return Styled("starting", WAITING)
        case "up":
            return _activity(slot)
        case "stopping":
            return Styled("stopping", WAITING)
        case "fatal":
            return Styled("fatal", BAD)
        case never:
            assert_never(never)


def pause_text(pause: Pause) -> str:
    """`pool paused by ann (uid 1000) 3 min ago`."""
    since = "" if pause.since is None else f" {ago(int(pause.since * 1e6))}"
    return f"{pause.scope} paused by {pause.by}{since}"


def size(count_of_bytes: int) -> str:
    """`48 MiB`, `1.2 GiB`."""
    mebibytes = count_of_bytes / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:.1f} GiB"


def _phase(snapshot: Snapshot) -> Styled:
    return Styled(snapshot.state, GOOD if snapshot.state == "running" else WAITING)


def _activity(slot: Slot) -> Styled:
    match slot.activity:
        case "running":
            return Styled("running", BUSY)
        case "idle":
            return Styled("idle", GOOD)
        case "paused" | "booting" | "stopping":
            return Styled(slot.activity, WAITING)
        case "":
            return Styled("up", GOOD)
        case never:
            assert_never(never)


def _capacity(pool: Pool) -> Styled:
    style = WAITING if pool.paused else GOOD if pool.up >= pool.wanted else BAD
    return Styled(f"{pool.up} of {pool.wanted} up", style)


def _about(pool: Pool) -> Styled:
    """What it serves, and what was done to it by hand."""
    serves = f"serves {', '.join(pool.queues)}" if pool.kind == "pool" else ""
    scaled = f"{pool.wanted} by hand, {pool.configured} in the file" if pool.scaled else ""
    words = [serves, scaled, *map(pause_text, pool.paused)]
    return Styled("; ".join(filter(None, words)), WAITING if scaled or pool.paused else "dim")


def _facts(slot: Slot) -> Iterator[Styled]:
    """From Pid on, without what says nothing."""
    yield Styled(str(slot.pid or ""), "")
    yield Styled(_span(slot.age), "dim")
    yield Styled(slot.task_name, "")
    # Any part of an id names the task to `taskqueue log show`; its end is what differs.
    yield Styled(slot.task_id.rpartition("-")[2], "dim")
    yield Styled(_span(slot.task_age), BUSY)
    yield Styled(f"{slot.done:,}" if slot.pid else "", "")
    yield Styled(str(slot.restarts or "") if slot.pid else "", WAITING)
    yield Styled("" if slot.memory is None else size(slot.memory), "")


def _remark(slot: Slot, *, known: Container[Pause]) -> Styled:
    """What went wrong with it, and the pauses that were not told of before."""
    pauses = [pause_text(pause) for pause in slot.paused if pause not in known]
    deaths = f"died {count(slot.restarts, 'time')}" if slot.restarts and not slot.pid else ""
    style = BAD if slot.state in ("down", "fatal") else WAITING
    return Styled("; ".join(filter(None, [*pauses, _trouble(slot), deaths])), style)


def _trouble(slot: Slot) -> str:
    again = "" if slot.retry_in is None else f"again in {seconds(slot.retry_in)}"
    return "; ".join(filter(None, [slot.note, again]))


def _span(length: float | None) -> str:
    return "" if length is None else seconds(length)
