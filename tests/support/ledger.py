"""The ledger: what has run, told by the tasks themselves in a file outside of the system under test.

Every run writes a line at its start and one at its end: `start` or `end` (or `again`: it asks to be run once more), the
task's id, attempt and fence, its process and this machine's monotonic time. `verdict` compares them with what task log
and broker say in the end (`tests.support.books`) and with what was done to the processes.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from taskqueue import Status, context
from taskqueue.codec import decode_report
from taskqueue.tasklog.entry import Attempt, Cause, Entry
from tests.support.runs import Fault, Run


def trace(ledger: str, what: str) -> None:
    """Append one line: what, id, attempt, fence, pid, monotonic time. One O_APPEND write, so that lines stay whole."""
    line = f"{what} {context.id} {context.attempt} {context.fence} {os.getpid()} {time.monotonic_ns()}\n"
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        assert os.write(file, line.encode()) == len(line)
    finally:
        os.close(file)


def signed() -> dict[str, int]:
    """A run's answer, by which its report can be told from another run's of the same task."""
    return {"fence": context.fence, "pid": os.getpid()}


class Ledger:
    """What has run, read on as it grows."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.path = path
        self.runs: defaultdict[str, dict[tuple[str, str], Run]] = defaultdict(dict)
        self.ended: set[str] = set()
        #: lines that cannot be
        self.odd: list[str] = []
        self._read = 0

    def read_on(self) -> None:
        """Take in what was appended; the last line may be on its way."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole + newline)
        for line in whole.decode().splitlines():
            self._take(line)

    def _take(self, line: str) -> None:
        what, task_id, attempt, fence, pid, at = line.split()
        runs, name = self.runs[task_id], (fence, pid)
        if what == "start" and name not in runs:
            runs[name] = Run(int(pid), int(at), attempt=int(attempt), fence=int(fence))
        elif what == "start":
            self.odd.append(f"one claim ran twice: {line}")
        elif name not in runs or runs[name].end is not None:
            self.odd.append(f"an end without a start: {line}")
        else:
            runs[name].end, runs[name].again = int(at), what == "again"
            if what == "end":
                self.ended.add(task_id)

    def of(self, task_id: str) -> list[Run]:
        """The task's runs, by their starts."""
        return sorted(self.runs.get(task_id, {}).values(), key=lambda run: run.start)

    def has_ended(self, count: int) -> bool:
        """Whether so many tasks have run to their end."""
        self.read_on()
        return len(self.ended) >= count

    def has_run_in(self, pid: int) -> bool:
        """Whether that process has run a task."""
        self.read_on()
        return any(run.pid == pid for runs in self.runs.values() for run in runs.values())


class Books(msgspec.Struct, kw_only=True):
    """What task log and brokers say in the end."""

    entries: Mapping[str, Entry]
    attempts: Mapping[str, Sequence[Attempt]] = {}
    #: the task log's counts, by queue and status
    counted: Mapping[str, Mapping[Status, int]]
    #: what should be gone, in words: messages, leases, workers
    left: Sequence[str] = ()


#: an attempt that ended by itself, or is counted as the task's own fault
_OWN, _CRASHED = {Cause.ERROR, Cause.RETRY, Cause.TIMEOUT}, {Cause.CRASH, Cause.HOST_LOST}


def verdict(
    ledger: Ledger, books: Books, *, enqueued: Iterable[str], faults: Sequence[Fault] = (), commit_each: bool = False
) -> list[str]:
    """What may not be, in words; nothing if all that was enqueued has run and ended as it should.

    `enqueued` are the ids that producers know to be stored (children are found by their parents); `commit_each`: the
    queues store each report before the next task begins, so that a fault costs a process one run at most.
    """
    ledger.read_on()
    found = [*ledger.odd, *books.left, *_of_the_sum(books, set(enqueued))]
    strangers = sorted(ledger.runs.keys() - books.entries.keys())
    found += [f"{task_id} ran and has no entry: {ledger.of(task_id)}" for task_id in strangers]
    for entry in books.entries.values():
        runs, attempts = ledger.of(entry.id), books.attempts.get(entry.id, ())
        told = [
            *_of_the_end(entry, runs),
            *_of_the_cancel(entry, runs, faults),
            *_of_the_runs(runs, faults),
            *_of_the_log(entry, runs, attempts),
        ]
        found += [f"{entry.id} {one}: {entry.status.label}, fence {entry.fence}, {runs} {attempts}" for one in told]
    if commit_each:
        found += _of_the_cost(ledger, faults)
    return found


def _of_the_sum(books: Books, enqueued: set[str]) -> Iterator[str]:
    """Enqueued = ended, one for one."""
    entries = books.entries
    for lost in sorted(enqueued - entries.keys()):
        yield f"{lost} was enqueued and has no entry"
    for entry in entries.values():
        if entry.id not in enqueued and entry.parent_id not in entries:
            yield f"{entry.id} was enqueued by nobody"
    there = Counter((entry.queue, entry.status) for entry in entries.values())
    counted = Counter({(queue, s): n for queue, counts in books.counted.items() for s, n in counts.items() if n})
    if counted != there:
        yield f"the task log counts {dict(counted)}, and its entries are {dict(there)}"


def _of_the_end(entry: Entry, runs: Sequence[Run]) -> Iterator[str]:
    """It ended, and as its last claim's run did: nothing that another one wrote was taken."""
    if not entry.status.ended:
        yield "never ended"
    elif entry.status is Status.FAILED and _told(entry, "crashes") != entry.crashes:
        yield "failed"
    elif entry.status is Status.COMPLETED:
        if not any(run.fence == entry.fence and run.end is not None and not run.again for run in runs):
            yield "never ran to its end under the fence that it was completed by"
        if (fence := _told(entry, "fence")) not in (None, entry.fence):
            yield f"has the report of a stale run, of fence {fence}"
    if runs and max(run.fence for run in runs) > entry.fence:
        yield "was run under a fence that its entry never had"


def _of_the_cancel(entry: Entry, runs: Sequence[Run], faults: Sequence[Fault]) -> Iterator[str]:
    """A run that ended was completed, unless its worker did not live to say so."""
    if entry.status is Status.CANCELLED:
        ended = [run for run in runs if run.end is not None and not run.again]
        if not all(any(fault.hit(run) for fault in faults) for run in ended):
            yield "was cancelled although it had ended"


def _told(entry: Entry, what: str) -> int | None:
    """What its report says: the fence of the run that wrote it, or how often its worker died under it."""
    data: Any = decode_report(entry.report).data if entry.report else None
    return data.get(what) if isinstance(data, dict) else None


def _of_the_runs(runs: Sequence[Run], faults: Sequence[Fault]) -> Iterator[str]:
    """One at a time, in the order of their fences, and none repeated without a cause."""
    for run, following in itertools.pairwise(runs):
        if _over(run, faults) > following.start and not any(fault.made_stale(run, following) for fault in faults):
            yield "ran in two workers at once"
        if run.fence >= following.fence:
            yield "was run again under no greater fence"
        if not run.again and not any(fault.hit(run) for fault in faults):
            yield "was repeated without a cause"


def stale(ledger: Ledger, faults: Sequence[Fault]) -> int:
    """How many runs went on, for a moment, after their task was run again because they had stood still."""
    pairs = [pair for task_id in ledger.runs for pair in itertools.pairwise(ledger.of(task_id))]
    return sum(
        _over(run, faults) > following.start and any(fault.made_stale(run, following) for fault in faults)
        for run, following in pairs
    )


def _over(run: Run, faults: Sequence[Fault]) -> float:
    """When it was over: at its end, or when its process was."""
    if run.end is not None:
        return run.end
    return min((fault.at for fault in faults if fault.ends_runs and fault.hit(run)), default=math.inf)


def _of_the_log(entry: Entry, runs: Sequence[Run], attempts: Sequence[Attempt]) -> Iterator[str]:
    """Counters and attempts say what the runs were."""
    own = [attempt for attempt in attempts if attempt.cause in _OWN]
    if entry.status is Status.COMPLETED and entry.attempts - entry.crashes != len(own) + 1:
        yield f"has {entry.attempts} attempts and {entry.crashes} crashes, but was run again by itself {len(own)} times"
    if entry.crashes > sum(attempt.cause in _CRASHED for attempt in attempts):
        yield f"has {entry.crashes} crashes, and not so many attempts that say so"
    for attempt in attempts:
        if attempt.fence > entry.fence:
            yield f"has an attempt of fence {attempt.fence}"
    for attempt in own:
        if not any(run.fence == attempt.fence and run.again for run in runs):
            yield f"has an attempt of fence {attempt.fence} ({attempt.cause}) that no run asked for"


def _of_the_cost(ledger: Ledger, faults: Sequence[Fault]) -> Iterator[str]:
    """A fault costs each process that it hits one run at most."""
    repeated = Counter(run.pid for task_id in ledger.runs for run in ledger.of(task_id)[:-1] if not run.again)
    hits = Counter(fault.pid for fault in faults)
    for pid, count in sorted(repeated.items()):
        if count > (cost := hits[pid] + hits[None]):
            yield f"{pid} was hit by {cost} faults, and {count} of the tasks that it ran were repeated"
