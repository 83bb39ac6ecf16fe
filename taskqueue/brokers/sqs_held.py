"""What a handle holds at SQS, by its own clock: SQS itself answers no question about a receipt truly."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

import msgspec

from taskqueue.message import Delivery

#: seconds that SQS hides a message at most, counted from its receipt
LONGEST_LEASE = 12 * 3600


class Lease(msgspec.Struct):
    """A delivery, when it was received, and until when it is ours (monotonic seconds)."""

    delivery: Delivery
    received: float
    until: float


class Held:
    """The leases of one handle. Safe in threads."""

    def __init__(self, longest: float = LONGEST_LEASE) -> None:
        self._longest = longest
        self._lock = threading.Lock()
        self._leases: dict[str, Lease] = {}

    def add(self, deliveries: Iterable[Delivery], *, received: float, until: float) -> None:
        """Note these; those that have ended are forgotten."""
        now = time.monotonic()
        with self._lock:
            self._leases = {receipt: one for receipt, one in self._leases.items() if one.until > now}
            self._leases |= {one.receipt: Lease(one, received, until) for one in deliveries}

    def ours(self, deliveries: Iterable[Delivery]) -> list[Lease]:
        """The leases that these receipts still name."""
        now = time.monotonic()
        with self._lock:
            held = {one.receipt: self._leases.get(one.receipt) for one in deliveries}
        return [lease for lease in held.values() if lease is not None and lease.until > now]

    def young(self, deliveries: Iterable[Delivery], *, until: float) -> list[Delivery]:
        """Those of ours that SQS would hide until then: what comes to the twelve hours is handed over."""
        return [one.delivery for one in self.ours(deliveries) if until <= one.received + self._longest]

    def time_left(self, deliveries: Iterable[Delivery]) -> int:
        """For how long SQS would hide all of these, in seconds."""
        now = time.monotonic()
        return int(self._longest - 1 - now + min((one.received for one in self.ours(deliveries)), default=now))

    def note(self, leases: Sequence[Lease], done: set[int], *, until: float | None) -> None:
        """Those at the places `done` are ours until then (None: not any more), the others not at all."""
        with self._lock:
            for place, lease in enumerate(leases):
                if until is None or place not in done:
                    self._leases.pop(lease.delivery.receipt, None)
                else:
                    lease.until = until
