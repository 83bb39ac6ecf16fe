"""A clock that stands still until a test moves it."""

from __future__ import annotations


class FakeClock:
    """Monotonic seconds and wall microseconds that go on together, by hand."""

    def __init__(self, micros: int = 1_767_225_600_000_000) -> None:
        self.now = micros

    def monotonic(self) -> float:
        return self.now / 1e6

    def micros(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * 1e6)
