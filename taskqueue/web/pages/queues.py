"""Queues as rows."""

from __future__ import annotations

import msgspec

from taskqueue.operations.queues import QueueState
from taskqueue.operations.times import seconds
from taskqueue.operations.words import count
from taskqueue.status import HELD, Status
from taskqueue.web.pages.board import Board, Moment
from taskqueue.web.pages.rates import KEPT, Line

#: seconds of waiting from which on the oldest stands out, and from which on it is bad
LONG, TOO_LONG = 60.0, 600.0
WIDTH, HEIGHT = 96, 22


class Spark(msgspec.Struct, frozen=True):
    """Two lines of an SVG: what came and what went. `label` says it in words."""

    came: str
    went: str
    label: str


class State(msgspec.Struct, frozen=True):
    """What is odd about a queue."""

    text: str
    level: str
    more: str = ""


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    """A queue in a table."""

    name: str
    away: str = ""
    waiting: int = 0
    delayed: int = 0
    running: int = 0
    about: str = ""
    oldest: str = ""
    oldest_style: str = ""
    rate_in: int = 0
    rate_out: int = 0
    spark: Spark | None = None
    failed: int = 0
    workers: str = ""
    unserved: bool = False
    state: State | None = None
    paused: str = ""
    pausable: bool = False
    touches: str = ""


def queue_rows(board: Board, moment: Moment) -> list[QueueRow]:
    """All configured queues, in the configuration's order."""
    return [
        _row(board, moment, moment.queues[name])
        if name in moment.queues
        else QueueRow(
            name=name,
            away=moment.away[name],
            failed=moment.count(Status.FAILED, queue=name),
            state=State("away", "bad"),
        )
        for name in (*moment.queues, *moment.away)
    ]


def _row(board: Board, moment: Moment, state: QueueState) -> QueueRow:
    line = board.rates.line(state.queue)
    rate = line.per_minute()
    oldest, pause = state.oldest, state.pause
    return QueueRow(
        name=state.queue,
        waiting=state.waiting,
        delayed=state.delayed,
        running=moment.count(*HELD, queue=state.queue),
        about="~" if state.approximate else "",
        oldest="" if oldest is None else seconds(oldest),
        oldest_style="" if oldest is None or oldest < LONG else "warn" if oldest < TOO_LONG else "bad",
        rate_in=rate.came,
        rate_out=rate.went,
        spark=_spark(line),
        failed=moment.count(Status.FAILED, queue=state.queue),
        workers="" if state.workers is None else f"{state.workers}",
        unserved=unserved(state),
        state=_odd(state),
        paused=f"paused by {pause.by}" if pause else "",
        pausable=state.workers is not None,
        touches=f"{count(state.waiting + state.delayed, 'task')} would wait.",
    )


def unserved(state: QueueState) -> bool:
    """Whether tasks wait and no worker serves them."""
    return state.workers == 0 and state.waiting > 0


def _odd(state: QueueState) -> State | None:
    if state.pause is not None:
        return State(f"paused by {state.pause.by}", "warn", "Nobody starts its tasks until somebody resumes it.")
    if unserved(state):
        return State("no worker", "bad", "Tasks wait and no living worker serves the queue.")
    return None


def _spark(line: Line) -> Spark:
    most = max(1, *(max(flow.came, flow.went) for flow in line.spans[:-1]))

    def points(values: list[int]) -> str:
        step = WIDTH / (KEPT - 2)
        return " ".join(
            f"{at * step:.1f},{HEIGHT - 1 - value / most * (HEIGHT - 2):.1f}" for at, value in values_at(values)
        )

    def values_at(values: list[int]) -> list[tuple[int, int]]:
        return list(enumerate(values[:-1]))  # the last span is not over

    came, went = sum(flow.came for flow in line.spans), sum(flow.went for flow in line.spans)
    return Spark(
        points([flow.came for flow in line.spans]),
        points([flow.went for flow in line.spans]),
        f"{came:,} came and {went:,} went in the last 15 minutes",
    )
