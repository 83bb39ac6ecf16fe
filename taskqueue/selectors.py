"""Which queue next, for a worker that serves several (P14). Pure: names and numbers, no clock, no store.

A selector is asked for an order of trial and told what was taken. Nothing waits for the front of that order: the
worker goes on to the next queue at once when one is empty, broken or paused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Selector(Protocol):
    """The choice between the queues of one worker."""

    def order(self) -> list[str]:
        """All queues, in the order in which to try them now."""

    def took(self, queue: str, tasks: int) -> None:
        """Note that `queue` gave so many tasks, after those before it in `order()` had none to give."""


class WeightedSelector:
    """Shares follow the weights: over time a queue of weight 3 gives thrice the tasks of a queue of weight 1.

    Each queue has a position; the one furthest behind comes first, and what it gives moves it on by tasks / weight.
    No lottery: no queue that has work waits longer than its share says, so none starves.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = _checked(weights)
        self._position = dict.fromkeys(self._weights, 0.0)

    def order(self) -> list[str]:
        return sorted(self._position, key=lambda queue: (self._position[queue], -self._weights[queue]))

    def took(self, queue: str, tasks: int) -> None:
        here = self._position[queue]
        # Queues behind this one had nothing. They keep their place before it, but save up no turns for later.
        ahead = {q: max(0.0, p - here) for q, p in self._position.items()}
        ahead[queue] = tasks / self._weights[queue]
        self._position = ahead


class StrictPrioritySelector:
    """The highest weight that has work comes first, after every task anew; equal weights take turns."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = _checked(weights)
        self._queues = list(self._weights)

    def order(self) -> list[str]:
        return sorted(self._queues, key=lambda queue: -self._weights[queue])

    def took(self, queue: str, tasks: int) -> None:
        self._queues.remove(queue)
        self._queues.append(queue)


SELECTORS: dict[str, type[WeightedSelector | StrictPrioritySelector]] = {
    "weighted": WeightedSelector,
    "strict": StrictPrioritySelector,
}


def _checked(weights: Mapping[str, float]) -> dict[str, float]:
    if not weights:
        raise ValueError("a selector needs at least one queue")
    for queue, weight in weights.items():
        if not weight > 0:
            raise ValueError(
                f"queue {queue!r}: weight {weight} is not above 0; leave the queue out to serve it not at all"
            )
    return dict(weights)
