"""From settings to limits: of queues, and of the workers that serve them."""

from __future__ import annotations

from collections.abc import Sequence
from random import uniform
from typing import Any

from taskqueue.queue import Limits as QueueLimits
from taskqueue.settings import QueueSettings, Settings
from taskqueue.worker.leaving import Limits as WorkerLimits


def queue_limits(queue: QueueSettings) -> QueueLimits:
    """What holds for the tasks of this queue."""
    return QueueLimits(
        priority=queue.priority,
        lease=queue.lease,
        timeout=queue.timeout,
        retries=queue.retries,
        max_crashes=queue.max_crashes,
        max_waiting=queue.max_waiting,
        unknown_grace=queue.unknown_grace,
        commit_each=queue.commit == "each",
        weight=queue.weight,
    )


def worker_limits(settings: Settings, names: Sequence[str], **said: Any) -> WorkerLimits:
    """When a worker of these queues leaves: what was said, and when to be recycled.

    That is the lowest figure of its queues, as one process serves them all; of tasks a tenth more or less, so that not
    all workers go at once.
    """
    queues = [settings.queues[name] for name in names if name in settings.queues]
    max_tasks = min((queue.max_tasks for queue in queues if queue.max_tasks), default=0)
    max_memory = min((queue.max_memory for queue in queues if queue.max_memory), default=0)
    return WorkerLimits(**said, max_tasks=round(max_tasks * uniform(0.9, 1.1)), max_memory=max_memory)
