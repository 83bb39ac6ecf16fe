"""How many tasks came, went and failed in each span of the last quarter of an hour, by queue.

The task log counts entries by queue and status without looking at them, so that two looks give what happened between
them, at any size of the log. What was before the first look is read from the newest entries. Purging lowers the counts,
and looks like nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from threading import Lock

import msgspec

from taskqueue.status import Status
from taskqueue.tasklog.entry import MAX_PAGE, Entry
from taskqueue.tasklog.reading import TaskLog

#: seconds of a span, and how many are kept
SPAN, KEPT = 15, 60
#: pages that are read at most to know what was before the first look
PAGES = 5
#: seconds without a look after which what was before is read anew
FORGOTTEN = 2 * SPAN
Stats = Mapping[str, Mapping[Status, int]]


class Flow(msgspec.Struct):
    """What came, what ended well or badly, and what ended badly of it."""

    came: int = 0
    went: int = 0
    failed: int = 0

    def add(self, other: Flow) -> None:
        """Both together."""
        self.came += other.came
        self.went += other.went
        self.failed += other.failed


class Line(msgspec.Struct, frozen=True):
    """A queue's spans, oldest first, and when the last one began (seconds since 1970)."""

    spans: list[Flow]
    last: int

    def per_minute(self, seconds: int = 60) -> Flow:
        """What the last full spans of that many seconds say of a minute."""
        n = seconds // SPAN
        total = Flow()
        for flow in self.spans[-n - 1 : -1]:
            total.add(flow)
        return Flow(*(round(value * 60 / seconds) for value in msgspec.structs.astuple(total)))


class Rates:
    """Kept by one process for all who look."""

    def __init__(self) -> None:
        self._spans: defaultdict[str, defaultdict[int, Flow]] = defaultdict(lambda: defaultdict(Flow))
        self._before: Stats = {}
        self._looked = 0.0
        self._lock = Lock()

    def look(self, log: TaskLog, stats: Stats, *, now: float) -> None:
        """Note what the log counts; `now` is seconds since 1970. Raises BrokerUnavailable."""
        with self._lock:
            if now - self._looked > FORGOTTEN:
                self._spans.clear()
                self._read_back(log, now)
            else:
                span = int(now) // SPAN
                for queue, counts in stats.items():
                    self._spans[queue][span].add(_between(self._before.get(queue, {}), counts))
            self._before, self._looked = {queue: dict(counts) for queue, counts in stats.items()}, now
            self._forget(int(now) // SPAN - KEPT)

    def line(self, queue: str | None = None) -> Line:
        """The spans of that queue, or of all together."""
        with self._lock:
            last = int(self._looked) // SPAN
            flows = [Flow() for _ in range(KEPT)]
            for name, spans in self._spans.items():
                if queue in (None, name):
                    for at, flow in list(spans.items()):
                        if 0 <= (place := KEPT - 1 - (last - at)) < KEPT:
                            flows[place].add(flow)
            return Line(flows, last * SPAN)

    def _read_back(self, log: TaskLog, now: float) -> None:
        first = (int(now) // SPAN - KEPT + 1) * SPAN
        for entry in _newest(log, first * 1_000_000):
            spans = self._spans[entry.queue]
            spans[entry.created_at // 1_000_000 // SPAN].came += 1
            if entry.finished_at and entry.status.ended:
                flow = spans[entry.finished_at // 1_000_000 // SPAN]
                flow.went += 1
                flow.failed += entry.status is Status.FAILED

    def _forget(self, before: int) -> None:
        for spans in self._spans.values():
            for span in [span for span in spans if span < before]:
                del spans[span]


def _newest(log: TaskLog, since: int) -> Iterable[Entry]:
    after = None
    for _ in range(PAGES):
        page = log.search(limit=MAX_PAGE, after=after)
        for entry in page.entries:
            if entry.created_at < since:
                return
            yield entry
        if (after := page.next) is None:
            return


def _between(before: Mapping[Status, int], now: Mapping[Status, int]) -> Flow:
    def more(*statuses: Status) -> int:
        return max(0, sum(now.get(one, 0) - before.get(one, 0) for one in statuses))

    return Flow(more(*Status), more(*(one for one in Status if one.ended)), more(Status.FAILED))
