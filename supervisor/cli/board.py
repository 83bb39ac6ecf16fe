"""A snapshot in words: what `supervisor status` says of the host, of each pool and of each worker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never

from supervisor.snapshot import Pause, Pool, Slot, Snapshot
from taskqueue.cli.terminal import Cell, Styled
from taskqueue.cli.times import ago, seconds
from taskqueue.cli.words import count

#: for people, and for what reads a pipe
COLUMNS = ("Worker", "State", "Pid", "Age", "Task", "Id", "For", "Done", "Restarts", "Memory", "Note")
PLAIN = ("Worker", "State", "Pid", "Age", "Task", "Id", "For", "Done", "Restarts", "Memory", "Paused", "Note")
RIGHT = ("Pid", "Age", "For", "Done", "Restarts", "Memory")
#: cut where the terminal is narrow
WIDE = ("Task", "Note")
GOOD, BUSY, WAITING, BAD = "green", "bold cyan", "yellow", "bold red"


def rows(snapshot: Snapshot) -> Iterator[Sequence[Cell]]:
    """COLUMNS: a line for each pool, and below it one for each of its workers."""
    for pool in snapshot.pools:
        alone = pool.kind == "keeper" and len(pool.slots) == 1
        known = {*snapshot.paused, *pool.paused}
        if not alone:
            yield Styled(pool.name, "bold"), _capacity(pool), *[""] * 8, about(pool)
        for slot in pool.slots:
            name = pool.name if alone else f"  {slot.label}"
            note = "; ".join(filter(None, [*map(pause_text, _beyond(slot.paused, known)), _again(slot), slot.note]))
            style = BAD if slot.state in ("down", "fatal") else WAITING if slot.paused else ""
            yield name, state(slot), *_facts(slot), Styled(note, style)


def plain_rows(snapshot: Snapshot) -> Iterator[Sequence[str]]:
    """PLAIN: a line for each worker."""
    for pool in snapshot.pools:
        for slot in pool.slots:
            pauses = dict.fromkeys((*snapshot.paused, *pool.paused, *slot.paused))
            facts = [slot.pid or "", _span(slot.age), slot.task_name, slot.task_id, _span(slot.task_age), slot.done]
            counts = [slot.restarts, "" if slot.memory is None else slot.memory]
            notes = "; ".join(filter(None, [_again(slot), slot.note]))
            words = (slot.label, state(slot).text, *facts, *counts, "; ".join(map(pause_text, pauses)), notes)
            yield tuple(map(str, words))


def headline(snapshot: Snapshot) -> list[Styled]:
    """The first line: how it is, in parts of their own colour."""
    workers = [pool for pool in snapshot.pools if pool.kind != "keeper"]
    up, wanted = sum(pool.up for pool in workers), sum(pool.wanted for pool in workers)
    busy = sum(slot.activity == "running" for pool in workers for slot in pool.slots)
    how = Styled("paused", WAITING) if snapshot.paused and snapshot.state == "running" else _phase(snapshot)
    return [
        Styled(snapshot.host, "bold"),
        how,
        Styled(f"{up} of {count(wanted, 'worker')} up", GOOD if up >= wanted else BAD),
        Styled(f"{count(busy, 'task')} running", BUSY if busy else ""),
        Styled(f"for {seconds(snapshot.uptime)}", "dim"),
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


def about(pool: Pool) -> Styled:
    """What is to be known of a pool: what it serves, what was done to it by hand."""
    serves = f"serves {', '.join(pool.queues)}" if pool.kind == "pool" else ""
    scaled = f"{pool.wanted} by hand, {pool.configured} in the file" if pool.scaled else ""
    words = [serves, scaled, *map(pause_text, pool.paused)]
    return Styled("; ".join(filter(None, words)), WAITING if scaled or pool.paused else "dim")


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


def _facts(slot: Slot) -> list[Cell]:
    """From Pid to Memory, without what says nothing."""
    return [
        str(slot.pid or ""),
        _span(slot.age),
        slot.task_name,
        # Any part of an id names the task to `taskqueue log show`; its end is what differs.
        Styled(slot.task_id.rpartition("-")[2], "dim"),
        _span(slot.task_age),
        f"{slot.done:,}" if slot.pid else "",
        Styled(str(slot.restarts or ""), WAITING),
        "" if slot.memory is None else size(slot.memory),
    ]


def _beyond(pauses: Iterable[Pause], known: set[Pause]) -> list[Pause]:
    """Pauses that were not told of before."""
    return [pause for pause in pauses if pause not in known]


def _again(slot: Slot) -> str:
    return "" if slot.retry_in is None else f"again in {seconds(slot.retry_in)}"


def _span(length: float | None) -> str:
    return "" if length is None else seconds(length)
