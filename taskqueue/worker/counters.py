"""What a worker counts: how its runs ended and how long they took, lease losses, and outages of its stores.

Plain numbers in the lifeline's hands: nothing is locked, written or asked for a task. About once a second they go into
a block of shared memory that outlives the process, if there is one: a worker that runs alone has none, and counts
nothing. So counts only rise for as long as the memory's owner lives; a process that is killed loses its last second.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

from taskqueue.status import Status
from taskqueue.tasklog.entry import Cause, Outcome
from taskqueue.visible import storable
from taskqueue.worker.block import CAPACITY, Block
from taskqueue.worker.inbox import Work
from taskqueue.worker.outage import Outages

#: upper bounds: of durations, in seconds, and of how many attempts a task took
DURATIONS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
ATTEMPTS = (1, 2, 3, 5, 10)
#: seconds between two publications
PERIOD = 1.0
#: the name under which the tasks that are seen least go together, once there are too many for their room
OTHER = "other"
#: and the one of tasks that the worker does not know: a name that anybody may make up is no label
UNKNOWN = "unknown"
#: what became of a run that ended its task
_ENDS = {Status.COMPLETED: "completed", Status.FAILED: "failed", Status.CANCELLED: "cancelled"}
LEASE_LOST = "lease_lost"
#: all that can become of a run
OUTCOMES = (*_ENDS.values(), "retried", "stopped", LEASE_LOST, "late", "not_known")


class Histogram(msgspec.Struct, array_like=True):
    """How many values fell between which bounds: `counts` has one number a bound, and one for what lies beyond."""

    counts: list[int]
    sum: float = 0.0

    @classmethod
    def over(cls, bounds: Sequence[float]) -> Histogram:
        """Nothing yet, between these."""
        return cls([0] * (len(bounds) + 1))

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts)

    def note(self, bounds: Sequence[float], value: float) -> None:
        """One more value; the bounds are those that it was made with."""
        self.counts[bisect_left(bounds, value)] += 1
        self.sum += value

    def add(self, other: Histogram) -> None:
        """Those values too."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class Tally(msgspec.Struct, array_like=True):
    """Runs of one task from one queue."""

    #: by what became of them
    outcomes: dict[str, int] = {}
    durations: Histogram = msgspec.field(default_factory=lambda: Histogram.over(DURATIONS))
    #: of the tasks that ended: how many attempts they took
    attempts: Histogram = msgspec.field(default_factory=lambda: Histogram.over(ATTEMPTS))
    #: leases that were lost, with the runs that had to end for it and the tasks that had not begun
    lease_losses: int = 0

    @property
    def runs(self) -> int:
        """How many there were."""
        return sum(self.outcomes.values())

    def add(self, other: Tally) -> None:
        """Those runs too."""
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count
        self.durations.add(other.durations)
        self.attempts.add(other.attempts)
        self.lease_losses += other.lease_losses


class Counts(msgspec.Struct, array_like=True):
    """All of it, as it is published."""

    #: by queue and task
    tasks: dict[str, dict[str, Tally]] = {}
    #: how often a store went away, and for how many seconds
    outages: int = 0
    outage_seconds: float = 0.0

    def add(self, other: Counts) -> None:
        """Those too."""
        for queue, tasks in other.tasks.items():
            for task, tally in tasks.items():
                self.tally(queue, task).add(tally)
        self.outages += other.outages
        self.outage_seconds += other.outage_seconds

    def tally(self, queue: str, task: str) -> Tally:
        """That task's, made if need be."""
        return self.tasks.setdefault(queue, {}).setdefault(task, Tally())

    @property
    def named(self) -> list[tuple[str, str]]:
        """Queues and tasks that stand by themselves, those with the fewest runs first."""
        found = [(t.runs, q, n) for q, tasks in self.tasks.items() for n, t in tasks.items() if n != OTHER]
        return [(queue, name) for _, queue, name in sorted(found)]

    def fold(self, few: Iterable[tuple[str, str]]) -> None:
        """Put each of these together with the others of its queue."""
        for queue, name in few:
            self.tally(queue, OTHER).add(self.tasks[queue].pop(name))

    def melt(self) -> None:
        """Put everything together, queues too."""
        whole = Tally()
        for tally in (tally for tasks in self.tasks.values() for tally in tasks.values()):
            whole.add(tally)
        self.tasks = {OTHER: {OTHER: whole}}


def decode(body: bytes | None) -> Counts:
    """What was published; nothing, if nothing that can be read was."""
    with suppress(msgspec.DecodeError):
        return _decoder.decode(body) if body else Counts()
    return Counts()


class Counters:
    """One worker's, which go on from what stands in its block. For one thread, the lifeline."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._counts = decode(block.read())
        self._before = (self._counts.outages, self._counts.outage_seconds)
        self._tallies: dict[tuple[str, str], Tally] = {}
        #: tasks that have no tally of their own, and whether not even queues have
        self._folded: set[tuple[str, str]] = set()
        self._melted = False
        self._news = False
        self._due = 0.0

    def count(self, work: Work, outcome: Outcome, *, accepted: bool) -> None:
        """A run is over, and its outcome stored; or refused, because the task is no longer this worker's."""
        # Once a task, and in less than a microsecond: so it stands in one piece.
        tally = self._tally(work)
        end = _ENDS.get(outcome.status) if accepted else None
        outcomes, what = tally.outcomes, end or _given_back(outcome, accepted=accepted)
        outcomes[what] = outcomes.get(what, 0) + 1
        started, finished = outcome.started_at, outcome.finished_at
        if started is not None and finished is not None:
            values, seconds = tally.durations, (finished - started) / 1e6
            values.counts[bisect_left(DURATIONS, seconds)] += 1
            values.sum += seconds
            if end is not None:
                values, taken = tally.attempts, outcome.attempts
                values.counts[bisect_left(ATTEMPTS, taken)] += 1
                values.sum += taken
        elif what == LEASE_LOST:
            tally.lease_losses += 1
        self._news = True

    def lost(self, work: Work) -> None:
        """Its lease was lost before it had begun."""
        self._tally(work).lease_losses += 1
        self._news = True

    def _tally(self, work: Work) -> Tally:
        name = work.name if work.decoded is not None else UNKNOWN
        key = (work.queue.name, name)
        return self._tallies.get(key) or self._made(*key)

    def _made(self, queue: str, name: str) -> Tally:
        at, of = storable(queue), storable(name)  # half of a character pair could not be published
        at, of = (OTHER, OTHER) if self._melted else (at, OTHER if (at, of) in self._folded else of)
        tally = self._tallies[queue, name] = self._counts.tally(at, of)
        return tally

    def tell(self, now: float, *, outages: Outages) -> None:
        """Publish what is new, if it is time."""
        if self._block.away is not outages.on:
            self._block.away = outages.on
            self._news = True
        if (self._news or outages.on) and now >= self._due:
            self.publish(now, outages=outages)

    def next(self, now: float) -> float:
        """When there is something to publish (monotonic)."""
        return max(now, self._due) if self._news else now + 5.0

    def publish(self, now: float, *, outages: Outages) -> None:
        """Let others see what was counted. What does not fit goes together, the least used first."""
        counts = self._counts
        counts.outages, counts.outage_seconds = self._before[0] + outages.times, self._before[1] + outages.seconds(now)
        while len(body := _encoder.encode(counts)) > CAPACITY:
            if few := counts.named:
                few = few[: max(1, len(few) - len(few) * CAPACITY // len(body))]
                counts.fold(few)
                self._folded.update(few)
            else:
                counts.melt()
                self._melted = True
            self._tallies.clear()
        self._block.write(body)
        self._news, self._due = False, now + PERIOD


def _given_back(outcome: Outcome, *, accepted: bool) -> str:
    cause = outcome.attempt.cause if outcome.attempt is not None else None
    if cause is Cause.LEASE_LOST:
        return LEASE_LOST
    if not accepted:
        return "late"
    if cause is Cause.STOPPED:
        return "stopped"
    return "retried" if outcome.started_at is not None else "not_known"


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Counts)
