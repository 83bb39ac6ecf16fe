"""What is to be reached: the rows of the table, and how each follows from the figures of one round."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: figures by contestant, of one round
Round = Mapping[str, Mapping[str, Any]]
Figure = tuple[str, str]

CEILINGS = ("ceiling-postgresql-200", "ceiling-postgresql-500")
PGQUEUER = ("pgqueuer-10", "pgqueuer-200")
POSTGRESQL_PEERS = (*PGQUEUER, "saq-postgresql", "procrastinate", "awa")
REDIS_PEERS = ("huey-redis", "saq-redis", "dramatiq-redis", "celery-redis", "rq-redis")


@dataclass(frozen=True)
class Row:
    """Ours, beside the best of the others or by itself."""

    text: str
    ours: Figure
    unit: str
    against: tuple[Figure, ...] = ()
    said: str = ""
    reach: float | None = None
    aim: float | None = None
    less_is_better: bool = False

    @property
    def contestants(self) -> set[str]:
        """Whose figures it needs."""
        return {self.ours[0], *(name for name, _ in self.against)}


@dataclass
class Result:
    """A row with its figures: medians over the rounds, and the median of the ratios within each."""

    ours: float | None = None
    others: float | None = None
    by: str = ""
    ratio: float | None = None
    ratios: list[float] = field(default_factory=list)


def _of(figure: str, names: Sequence[str]) -> tuple[Figure, ...]:
    return tuple((name, figure) for name in names)


DRAIN, SINGLE, BULK, P50 = "drain_per_s", "enqueue_per_s", "bulk_enqueue_per_s", "latency_ms_p50"
ROWS = {
    "drain-ceiling": Row(
        "drain on PostgreSQL",
        ("ours-postgresql", DRAIN),
        "/s",
        _of(DRAIN, CEILINGS),
        "raw SQL, its best batch",
        reach=0.6,
        aim=0.85,
    ),
    "drain-pgqueuer-10": Row(
        "drain on PostgreSQL",
        ("ours-postgresql", DRAIN),
        "/s",
        _of(DRAIN, ["pgqueuer-10"]),
        "pgqueuer as shipped (no result)",
        reach=1.8,
        aim=2.5,
    ),
    "drain-pgqueuer-200": Row(
        "drain on PostgreSQL",
        ("ours-postgresql", DRAIN),
        "/s",
        _of(DRAIN, ["pgqueuer-200"]),
        "pgqueuer, batch 200 (no result)",
        reach=0.8,
        aim=1.1,
    ),
    "drain-redis": Row(
        "drain on PostgreSQL",
        ("ours-postgresql", DRAIN),
        "/s",
        _of(DRAIN, REDIS_PEERS),
        "the fastest peer on Redis",
        reach=4,
        aim=8,
    ),
    "sqlite-ceiling": Row(
        "drain on SQLite",
        ("ours-sqlite", DRAIN),
        "/s",
        _of(DRAIN, ["ceiling-sqlite-200"]),
        "raw SQL",
        reach=0.5,
        aim=0.8,
    ),
    "sqlite-huey": Row(
        "drain on SQLite", ("ours-sqlite", DRAIN), "/s", _of(DRAIN, ["huey-sqlite"]), "huey on SQLite", reach=5, aim=10
    ),
    "sqs": Row(
        "drain on SQS, calls a task", ("ours-sqs", "calls_a_task"), "", reach=0.25, aim=0.21, less_is_better=True
    ),
    "enqueue": Row(
        "enqueue one by one, PostgreSQL",
        ("ours-postgresql", SINGLE),
        "/s",
        _of(SINGLE, POSTGRESQL_PEERS),
        "the best peer on PostgreSQL",
        reach=1.1,
        aim=1.4,
    ),
    "bulk": Row(
        "enqueue_many, 1,000 a call, PostgreSQL",
        ("ours-postgresql", BULK),
        "/s",
        _of(BULK, CEILINGS),
        "raw SQL, in bulk",
        reach=0.8,
        aim=1.5,
    ),
    "latency-peer": Row(
        "idle latency p50, PostgreSQL",
        ("ours-postgresql", P50),
        "ms",
        _of(P50, POSTGRESQL_PEERS),
        "the best peer on PostgreSQL",
        reach=0.6,
        aim=0.5,
        less_is_better=True,
    ),
    "latency-ceiling": Row(
        "idle latency p50, PostgreSQL",
        ("ours-postgresql", P50),
        "ms",
        _of(P50, CEILINGS),
        "raw SQL",
        aim=1.2,
        less_is_better=True,
    ),
    "latency-sqlite": Row(
        "idle latency p50, SQLite",
        ("ours-sqlite", P50),
        "ms",
        _of(P50, ["ceiling-sqlite-200"]),
        "raw SQL",
        reach=2,
        aim=1.3,
        less_is_better=True,
    ),
    "waiting": Row(
        "drain with 1,000,000 waiting",
        ("levels", "million_per_s"),
        "/s",
        _of("base_per_s", ["levels"]),
        "with 10,000 waiting",
        reach=0.9,
        aim=1,
    ),
    "ended": Row(
        "drain with 5,000,000 ended",
        ("levels", "ended_per_s"),
        "/s",
        _of("base_per_s", ["levels"]),
        "with none",
        reach=0.9,
        aim=1,
    ),
    "snapshot-p99": Row(
        "claim p99 under a held snapshot",
        ("ours-snapshot", "turn_ms_p99"),
        "ms",
        _of("turn_ms_p99", ["ours-no-snapshot"]),
        "with none held",
        reach=3,
        aim=1.5,
        less_is_better=True,
    ),
    "snapshot-worst": Row(
        "claim worst under a held snapshot",
        ("ours-snapshot", "turn_ms_worst"),
        "ms",
        _of("turn_ms_worst", ["ours-no-snapshot"]),
        "with none held",
        reach=3,
        aim=1.5,
        less_is_better=True,
    ),
    "busy": Row("busy share of 2 workers, tasks of 10 ms", ("ours-burning", "busy"), "", reach=0.97, aim=0.99),
    "cpu": Row(
        "processor time a task, PostgreSQL",
        ("ours-postgresql", "cpu_us"),
        "µs",
        reach=110,
        aim=60,
        less_is_better=True,
    ),
}
#: takes minutes
SLOW = ("waiting", "ended")


def result_of(row: Row, rounds: Sequence[Round]) -> Result:
    """What came of it."""
    result = Result(ours=middle([_figure(one, row.ours) for one in rounds]))
    beside = [(one, best) for one in rounds if (best := _best(row, one))]
    result.ratios = [ours / best[1] for one, best in beside if (ours := _figure(one, row.ours)) is not None]
    result.others = middle([best[1] for _, best in beside])
    result.by = statistics.mode([best[0] for _, best in beside]) if beside else ""
    result.ratio = middle(result.ratios) if row.against else result.ours
    return result


def _figure(one: Round, figure: Figure) -> float | None:
    return one.get(figure[0], {}).get(figure[1])


def _best(row: Row, one: Round) -> tuple[str, float] | None:
    found = [(figure[0], value) for figure in row.against if (value := _figure(one, figure))]
    pick = min if row.less_is_better else max
    return pick(found, key=lambda pair: pair[1]) if found else None


def middle(values: Sequence[float | None]) -> float | None:
    """The median of those that there are."""
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None


def verdict(row: Row, result: Result) -> str:
    """How far it came."""
    if result.ratio is None:
        return ""
    for word, bound in (("aim", row.aim), ("reach", row.reach)):
        if bound is not None and (result.ratio <= bound if row.less_is_better else result.ratio >= bound):
            return word
    return "short"
