"""What the workers of this host have counted, as metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import Metric

from taskqueue.web.families import counter, gauge, histogram
from taskqueue.worker.counters import ATTEMPTS, DURATIONS, OTHER, OUTCOMES, Counts, Tally

#: so many tasks are told from each other; those that run least go together
TASKS = 200


def families(counts: Counts, *, away: int) -> Iterator[Metric]:
    """The metrics of these counts; `away`: how many workers wait for a store now."""
    few = counts.named
    counts.fold(few[: max(0, len(few) - TASKS)])
    tallies = [(queue, task, tally) for queue, tasks in counts.tasks.items() for task, tally in tasks.items()]
    yield counter(
        "tasks",
        "Runs of tasks in this host's workers, by what became of them.",
        [
            ({"queue": queue, "task": task, "outcome": outcome}, tally.outcomes[outcome])
            for queue, task, tally in tallies
            for outcome in OUTCOMES
            if outcome in tally.outcomes
        ],
    )
    tasks = _by_task(counts.tasks)
    yield histogram(
        "task_duration_seconds",
        "How long runs took.",
        DURATIONS,
        [({"task": task}, tally.durations) for task, tally in tasks.items()],
    )
    yield histogram(
        "task_attempts",
        "How many attempts it took until a task ended, well or not.",
        ATTEMPTS,
        [({"task": task}, tally.attempts) for task, tally in tasks.items()],
    )
    yield counter(
        "lease_losses",
        "Leases that were lost while their task was in the hands of a worker.",
        [({"queue": queue}, sum(t.lease_losses for t in tasks.values())) for queue, tasks in counts.tasks.items()],
    )
    yield counter("worker_outages", "How often a store went away for a worker.", [({}, counts.outages)])
    yield counter(
        "worker_outage_seconds",
        "How long stores were away for workers, all workers together.",
        [({}, counts.outage_seconds)],
    )
    yield gauge("workers_without_store", "Workers that wait for a store which is away.", [({}, away)])


def _by_task(tasks: Mapping[str, Mapping[str, Tally]]) -> dict[str, Tally]:
    whole = Counts()
    for named in tasks.values():
        for task, tally in named.items():
            whole.tally(OTHER, task).add(tally)
    return whole.tasks.get(OTHER, {})
