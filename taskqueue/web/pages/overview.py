"""The page Overview: is all well, and if not, where."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from starlette.responses import Response

from taskqueue.errors import BrokerUnavailable
from taskqueue.operations.times import seconds
from taskqueue.operations.words import count
from taskqueue.status import HELD, Status
from taskqueue.web.pages.board import Board, Moment
from taskqueue.web.pages.hosts import HostView, host_views
from taskqueue.web.pages.queues import QueueRow, queue_rows, unserved
from taskqueue.web.pages.rates import SPAN, Line
from taskqueue.web.pages.visit import Visit
from taskqueue.web.tokens import Right


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody should know, and where to look."""

    level: str
    text: str
    advice: str = ""
    path: str = ""
    link: str = ""


class Tile(msgspec.Struct, frozen=True):
    """A number."""

    name: str
    value: str
    unit: str = ""
    style: str = ""


class Chart(msgspec.Struct, frozen=True):
    """uPlot's data as JSON, and what it shows in words."""

    points: str
    label: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows."""

    notices: list[Notice]
    tiles: list[Tile]
    chart: Chart
    queues: list[QueueRow]
    hosts: list[HostView]


def overview(visit: Visit) -> Response:
    """The page; who sees no fleet is shown their tasks."""
    if not visit.caller.may(Right.READ_FLEET):
        return visit.go("/tasks")
    try:
        board = shown(visit.board)
    except BrokerUnavailable as error:
        return visit.away("overview.html", "/", error)
    return visit.show("overview.html", section="/", live="samples", board=board)


def shown(board: Board) -> Shown:
    """As it is now. Raises BrokerUnavailable."""
    moment = board.moment()
    line = board.rates.line()
    return Shown(
        notices=list(_notices(moment)) or [Notice(level="good", text="All is well.")],
        tiles=_tiles(moment, line),
        chart=_chart(line),
        queues=queue_rows(board, moment),
        hosts=host_views(moment),
    )


def _notices(moment: Moment) -> Iterator[Notice]:
    for name, said in moment.away.items():
        yield Notice(level="bad", text=f"Queue {name}: its store does not answer.", advice=said)
    for state in moment.queues.values():
        if unserved(state):
            text = f"{count(state.waiting, 'task')} wait in queue {state.queue} and no worker serves it."
            yield Notice(
                level="bad", text=text, advice="Start workers, or scale its pool.", path="/fleet", link="Fleet"
            )
        if state.pause is not None:
            text = f"Queue {state.queue} is paused by {state.pause.by}."
            yield Notice(level="warn", text=text, path="/fleet", link="Fleet")
    for host in moment.hosts:
        yield from _of_host(host.name, moment)


def _of_host(name: str, moment: Moment) -> Iterator[Notice]:
    host = next(host for host in moment.hosts if host.name == name)
    if not host.alive:
        text = f"Host {name} has not been heard of for {seconds(-host.lease)}."
        advice = "Its tasks come back when their leases end. If it is gone for good, it leaves this list by itself."
        yield Notice(level="bad", text=text, advice=advice)
        return
    snapshot = host.snapshot
    if snapshot is None:
        return
    yield from (Notice(level="bad", text=f"Host {name}: {problem}") for problem in snapshot.problems)
    missing = sum(max(0, pool.wanted - pool.up) for pool in snapshot.pools)
    if missing:
        advice = "Workers that died are started again by themselves."
        yield Notice(level="warn", text=f"Host {name}: {count(missing, 'worker')} of it not up.", advice=advice)
    for pause in snapshot.paused:
        yield Notice(level="warn", text=f"Host {name} is paused by {pause.by}.", path="/fleet", link="Fleet")


def _tiles(moment: Moment, line: Line) -> list[Tile]:
    rate = line.per_minute()
    waiting = sum(state.waiting for state in moment.queues.values())
    oldest = max((state.oldest or 0.0 for state in moment.queues.values()), default=0.0)
    failing = "bad" if rate.failed else ""
    return [
        Tile("Waiting", f"{waiting:,}", f"oldest {seconds(oldest)}" if oldest else ""),
        Tile("Running", f"{moment.count(*HELD):,}"),
        Tile("Done", f"{rate.went:,}", "per min"),
        Tile("Failing", f"{rate.failed:,}", "per min", failing),
        Tile("Failed", f"{moment.count(Status.FAILED):,}", "in the log"),
    ]


def _chart(line: Line) -> Chart:
    spans = line.spans[:-1]  # the last one is not over
    first = line.last - len(spans) * SPAN
    times = [first + place * SPAN for place in range(len(spans))]
    rows = [[getattr(flow, name) * 60 // SPAN for flow in spans] for name in ("came", "went", "failed")]
    total = [sum(getattr(flow, name) for flow in spans) for name in ("came", "went", "failed")]
    words = "In the last 15 minutes {:,} tasks came, {:,} went, {:,} of them failed".format(*total)
    return Chart(msgspec.json.encode([times, *rows]).decode(), words)
