"""How much to lease: about 100 ms worth of tasks, measured as it goes (DESIGN, Speed).

Durations are learnt per task name (an exponential mean, so that a change of habit shows within a few tasks) and for
the queue's mix as a whole. A batch grows at most twofold at a time: one wrong guess costs little. It shrinks at most
tenfold a task: that one short task was kept from its processor says nothing of the next hundred.
"""

from __future__ import annotations

from collections.abc import Sequence

TARGET = 0.1
MOST = 500
#: seconds within which nobody can tell how long a task took
SHORTEST = 1e-5
_NEW_SHARE = 0.2


class Pace:
    """What one queue's tasks take."""

    def __init__(self, *, target: float = TARGET, most: int = MOST) -> None:
        self._target = target
        self._most = most
        self._by_name: dict[str, float] = {}
        self._mix: float | None = None
        self._last = 1

    def learn(self, name: str, seconds: float) -> None:
        """A task of that name took so long."""
        known = self._by_name.get(name, seconds)
        self._by_name[name] = known + _NEW_SHARE * (min(seconds, _most_after(known)) - known)
        # Rises fast, falls slowly: hoarding behind long tasks is worse than a small batch.
        mix = seconds if self._mix is None else self._mix
        self._mix = min(seconds, _most_after(mix)) if seconds > 10 * mix else mix + 0.05 * (seconds - mix)

    def expected(self, name: str) -> float:
        """Seconds that a task of that name will take; a never seen one counts as a whole batch's worth."""
        return self._by_name.get(name, self._mix if self._mix is not None else self._target)

    def limit(self, *, waiting: float = 0.0) -> int:
        """How many to lease now, if `waiting` seconds' worth are leased already; 0 if that is enough."""
        if waiting >= self._target:
            return 0
        if self._mix is None:
            return 1
        room = int((self._target - waiting) / max(self._mix, 1e-7))
        limit = min(self._most, 2 * self._last, max(1, room))
        # Remembered only upwards from a full batch's measure: topping up a half-full inbox is no smaller batch.
        self._last = limit if not waiting else max(self._last, limit)
        return limit

    def fitting(self, names: Sequence[str]) -> int:
        """How many of these tasks, in this order, make about one batch; at least one."""
        total = 0.0
        for number, name in enumerate(names):
            total += self.expected(name)
            if total > 2 * self._target:
                return max(1, number)
        return len(names)


def _most_after(seconds: float) -> float:
    """How long a task counts as at most where so many seconds were expected."""
    return 10 * max(seconds, SHORTEST)
