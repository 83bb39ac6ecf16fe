"""Queues: `Queue` and the values that pass between it, the dispatcher and the worker."""

from taskqueue.queue.queue import Queue
from taskqueue.queue.values import Finished, Held, Limits, Parent, Turn

__all__ = ["Finished", "Held", "Limits", "Parent", "Queue", "Turn"]
