"""What happened to a task, as steps in words and as a bar to scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from taskqueue.operations.facts import report_of
from taskqueue.operations.times import seconds
from taskqueue.status import Status
from taskqueue.tasklog.entry import Attempt, Cause, Entry
from taskqueue.web.pages.trees import Node, report_tree

#: the bar's length in its own units
LENGTH = 1000
#: causes after which a task simply goes on elsewhere: nobody has to look
_ORDERED = frozenset({Cause.RETRY, Cause.STOPPED, Cause.LEASE_LOST, Cause.UNKNOWN_TASK})
_HOW = {
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "was cancelled",
    Status.ARCHIVED: "was put away",
}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened; `word` chooses its mark. `log` are lines: what it logged, or where it hung."""

    word: str
    text: str
    at: int | None
    detail: str = ""
    report: Node | None = None
    log: str = ""
    log_title: str = "the last lines of its log"
    open: bool = False


class Part(msgspec.Struct, frozen=True):
    """A piece of the bar."""

    style: str
    x: float
    width: float
    text: str


class Spans(msgspec.Struct, frozen=True):
    """The bar, and what it says in words."""

    parts: list[Part]
    label: str


def steps_of(entry: Entry, attempts: Sequence[Attempt]) -> list[Step]:
    """From its being enqueued to its end, in order."""
    return list(_steps(entry, attempts))


def _steps(entry: Entry, attempts: Sequence[Attempt]) -> Iterator[Step]:
    yield Step(word="enqueued", text="enqueued", at=entry.created_at)
    for attempt in attempts:
        yield _ended_badly(attempt)
    if entry.status is Status.DEQUEUED:
        yield Step(word="dequeued", text=f"taken by {entry.worker}", at=None)
    if entry.started_at is not None and not _told_of(entry, attempts):
        text = f"attempt {entry.attempts} on {entry.worker or 'a worker'}"
        yield Step(word="running", text=text, at=entry.started_at)
    if entry.status is Status.CHILD_RUNNING:
        yield Step(word="child_running", text="waits for its children", at=None)
    if entry.status.ended:
        how = entry.archived_from or entry.status
        yield Step(word=how.label, text=_HOW[how], at=entry.finished_at)
        if entry.status is Status.ARCHIVED:
            yield Step(word="archived", text="was put away", at=None)


def _told_of(entry: Entry, attempts: Sequence[Attempt]) -> bool:
    """Whether its last start is that of an attempt that did not end well."""
    return any(attempt.started_at == entry.started_at for attempt in attempts)


def _ended_badly(attempt: Attempt) -> Step:
    detail, _, stacks = attempt.detail.partition("\n")
    report = report_of(attempt.report)
    ran = attempt.started_at and seconds((attempt.ended_at - attempt.started_at) / 1e6)
    after = f" after {ran}" if ran else ""
    return Step(
        word="stopping" if attempt.cause in _ORDERED else "failed",
        text=f"attempt {attempt.attempt}: {attempt.cause.value}{after}",
        at=attempt.ended_at,
        detail=" · ".join(
            filter(None, [detail, "" if attempt.worker and attempt.worker in detail else attempt.worker])
        ),
        report=report_tree(report) if report else None,
        log="\n\n".join(filter(None, [stacks, getattr(attempt, "log", None) or ""])),
        log_title="where it was" if stacks else "the last lines of its log",
        open=bool(stacks),
    )


def spans_of(entry: Entry, attempts: Sequence[Attempt], now: int) -> Spans | None:
    """Waiting and running to scale; None for what has not begun to run."""
    pieces = list(_pieces(entry, attempts, now))
    if not any(style != "wait" for style, *_ in pieces):
        return None
    first, last = entry.created_at, max(end for _, _, end, _ in pieces)
    scale = LENGTH / max(1, last - first)
    parts = [
        Part(style, round((begin - first) * scale, 2), round(max((end - begin) * scale, 5.0), 2), text)
        # What ran is drawn over what waited: it may be much shorter.
        for style, begin, end, text in sorted(pieces, key=lambda piece: piece[0] != "wait")
    ]
    return Spans(parts, "; ".join(text for *_, text in pieces))


def _pieces(entry: Entry, attempts: Sequence[Attempt], now: int) -> Iterator[tuple[str, int, int, str]]:
    at = entry.created_at
    for attempt in attempts:
        if attempt.started_at is None:
            continue
        yield from _waited(at, attempt.started_at)
        style = "again" if attempt.cause in _ORDERED else "ill"
        ran = seconds((attempt.ended_at - attempt.started_at) / 1e6)
        yield style, attempt.started_at, attempt.ended_at, f"attempt {attempt.attempt}, {attempt.cause.value}, {ran}"
        at = attempt.ended_at
    if entry.started_at is not None and not _told_of(entry, attempts):
        yield from _waited(at, entry.started_at)
        end = entry.finished_at or now
        style = {Status.COMPLETED: "well", Status.FAILED: "ill", Status.CANCELLED: "again"}.get(
            entry.archived_from or entry.status, "ran"
        )
        ran = seconds((end - entry.started_at) / 1e6)
        yield style, entry.started_at, end, f"attempt {entry.attempts}, {ran}"
    elif not entry.status.ended:
        yield from _waited(at, now)


def _waited(begin: int, end: int) -> Iterator[tuple[str, int, int, str]]:
    if end > begin:
        yield "wait", begin, end, f"waited {seconds((end - begin) / 1e6)}"
