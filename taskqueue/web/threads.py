"""What blocks, run in threads: a few at a time, so that no crowd of callers becomes one of connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

R = TypeVar("R")


class Threads:
    """At most so many at a time; others wait their turn.

    What nobody waits for any more goes on to its end, and has its place until then: or callers that come and go would
    start more and more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limiter: CapacityLimiter | None = None

    async def run(self, function: Callable[[], R]) -> R:
        """What it returns, or raises."""
        if self._limiter is None:  # only inside of an event loop can it be made
            self._limiter = CapacityLimiter(self._most)
        # Only the end of the event loop abandons it.
        work = to_thread.run_sync(function, limiter=self._limiter, abandon_on_cancel=True)
        return await asyncio.shield(asyncio.ensure_future(work))
