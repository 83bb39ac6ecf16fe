"""Queues: `Queue` and the values that pass between it, the dispatcher and the worker."""

from __future__ import annotations

from taskqueue.queue.queue import Queue
from taskqueue.queue.values import Finished, Held, Limits, Parent, Turn

__all__ = ["Finished", "Held", "Limits", "Parent", "Queue", "Turn"]
