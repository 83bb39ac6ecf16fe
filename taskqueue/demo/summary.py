"""What the task log says of the demo's tasks, and whether it is true. Pure, but for the files that are read again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from taskqueue import codec
from taskqueue.demo.files import Measures, Tree, original, sha256, shown
from taskqueue.report import Report
from taskqueue.status import Status
from taskqueue.tasklog.entry import Entry
from taskqueue.tasklog.reading import TaskLog


class Again(msgspec.Struct, frozen=True):
    """An attempt that did not end well, so that its task ran again."""

    path: str
    attempt: int
    cause: str
    why: str
    worker: str | None
    #: when the task went back to its queue, microseconds since 1970
    at: int


class Share(msgspec.Struct, frozen=True):
    """What one worker did."""

    worker: str
    files: int
    bytes: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's result. `problems` is empty if every file was counted exactly once, and rightly."""

    folder: str
    files: int
    counted: int
    bytes: int
    lines: int
    compressed: int
    seconds: float
    #: of these
    paused_seconds: float
    #: starts of children; more than files if some ran again
    attempts: int
    #: how often a task that had not started went back to the queue
    given_back: int
    again: list[Again]
    shares: list[Share]
    #: files that could not be read, and why
    unreadable: dict[str, str]
    parent_status: str
    parent_report: str
    problems: list[str]


class Child(msgspec.Struct, frozen=True):
    """One child: which file, and what it found out about it (None: it failed, and the report says why)."""

    path: str
    entry: Entry
    report: Report | None
    measures: Measures | None


def children_of(log: TaskLog, parent: str) -> list[Child]:
    """The parent's children, as the task log has them."""
    return [_child(log, entry) for entry in log.children(parent)]


def summarise(
    log: TaskLog, parent: str, tree: Tree, expected: Sequence[str], paused: tuple[int, int] | None = None
) -> Summary:
    """All that there is to be said.

    `expected` are the files that were there at the start; `paused`: from when until when nothing may have started, in
    microseconds since 1970.
    """
    children, entry = children_of(log, parent), log.get(parent)
    done = [(child, child.measures) for child in children if child.measures is not None]
    report = log.report(parent)
    return Summary(
        folder=shown(tree.folder),
        files=len(expected),
        counted=len(done),
        bytes=sum(found.size for _, found in done),
        lines=sum(found.lines for _, found in done),
        compressed=sum(found.compressed for _, found in done),
        seconds=((entry.finished_at or entry.created_at) - (entry.started_at or entry.created_at)) / 1e6,
        paused_seconds=(paused[1] - paused[0]) / 1e6 if paused else 0.0,
        attempts=sum(child.entry.attempts for child in children),
        given_back=sum(child.entry.fence - child.entry.attempts for child in children),
        again=[attempt for child in children if child.entry.attempts > 1 for attempt in _attempts(log, child)],
        shares=_shares(done),
        unreadable={child.path: _why(child) for child in children if child.measures is None},
        parent_status=entry.status.label,
        parent_report=report.message if report is not None else "",
        problems=[*problems(tree, expected, children, began=entry.created_at), *_restless(children, paused)],
    )


def problems(tree: Tree, expected: Sequence[str], children: Sequence[Child], *, began: int) -> list[str]:
    """What is wrong: files that are missing, counted twice, or not what a plain reading says; nothing if all is well.

    A file that was changed after `began` (microseconds since 1970) is not held against anybody.
    """
    counted = Counter(child.path for child in children)
    missing = [f"missing: {path}" for path in map(shown, expected) if path not in counted]
    twice = [f"counted {n} times: {path}" for path, n in counted.items() if n > 1]
    wrong = [f"{wrong}: {child.path}" for child in children if (wrong := _wrong(tree, child, began))]
    return missing + twice + wrong


def _restless(children: Sequence[Child], paused: tuple[int, int] | None) -> list[str]:
    """Those that began in the pause."""
    began, ended = paused or (0, 0)
    starts = [(child.path, child.entry.started_at or 0) for child in children]
    return [f"started while all workers were paused: {path}" for path, at in starts if began < at < ended]


def _wrong(tree: Tree, child: Child, began: int) -> str | None:
    path = original(child.path)
    try:
        digest = sha256(tree.folder, path)
        changed = Path(tree.folder, path).stat().st_mtime_ns // 1000 >= began
    except OSError:
        return None  # unreadable for the task, too; or removed since
    if child.measures is None:
        return None if changed else "failed, though it can be read"
    return None if changed or child.measures.sha256 == digest else "another SHA-256 than a plain reading gives"


def _child(log: TaskLog, entry: Entry) -> Child:
    report = codec.decode_report(entry.report) if entry.report is not None else None
    if entry.status is Status.COMPLETED and report is not None:
        found = msgspec.convert(report.data, Measures)
        return Child(found.path, entry, report, found)
    parameters = codec.masked_parameters(log.get(entry.id).payload)
    return Child(parameters["path"], entry, report, None)


def _attempts(log: TaskLog, child: Child) -> list[Again]:
    found: list[Any] = log.attempts(child.entry.id)
    return [Again(child.path, a.attempt, a.cause.value, a.detail, a.worker, a.ended_at) for a in found]


def _shares(done: Sequence[tuple[Child, Measures]]) -> list[Share]:
    files: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for child, found in done:
        worker = child.entry.worker or "?"
        files[worker] += 1
        sizes[worker] += found.size
    return [Share(worker, n, sizes[worker]) for worker, n in files.most_common()]


def _why(child: Child) -> str:
    return child.report.message if child.report is not None else child.entry.status.label
