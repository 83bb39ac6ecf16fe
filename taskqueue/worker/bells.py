"""Waiting for work when idle.

A worker of one queue waits in the lifeline itself. A worker of several has a waiting thread for each (R8), so that
one store's long wait delays no other queue.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Sequence

from taskqueue.errors import TaskQueueError
from taskqueue.worker.orders import Orders
from taskqueue.worker.outage import Outages
from taskqueue.worker.station import Station

log = logging.getLogger(__name__)


class Bells:
    """Waits for any of the stations to have work."""

    def __init__(self, stations: Sequence[Station], orders: Orders, outages: Outages) -> None:
        self._stations = stations
        self._orders = orders
        self._outages = outages
        self._waiters = [_Waiter(station, orders) for station in stations] if len(stations) > 1 else []

    def wait(self, seconds: float) -> None:
        """Wait until a queue rings, the worker is poked, or the time is over."""
        if not self._waiters:
            (station,) = self._stations
            if self._deaf(station):
                self._orders.wait(seconds)
                return
            with self._outages.weathered(station.queue):
                if station.queue.broker.wait(seconds, interrupt=self._orders.fd):
                    station.ring()
            return
        armed = [waiter for waiter in self._waiters if not self._deaf(waiter.station)]
        for waiter in armed:
            waiter.arm(seconds)
        self._orders.wait(seconds)
        for waiter in armed:
            waiter.disarm()

    def _deaf(self, station: Station) -> bool:
        return station.paused or self._outages.away(station.queue)

    def close(self) -> None:
        """End the waiting threads."""
        for waiter in self._waiters:
            waiter.close()


class _Waiter:
    """One thread that listens to one queue's bell while the worker is idle."""

    def __init__(self, station: Station, orders: Orders) -> None:
        self.station = station
        self._orders = orders
        self._seconds: float | None = None
        self._closed = False
        self._change = threading.Condition()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self._thread = threading.Thread(target=self._run, name=f"bell-{station.queue.name}", daemon=True)
        self._thread.start()

    def arm(self, seconds: float) -> None:
        with self._change:
            self._seconds = seconds
            self._change.notify_all()

    def disarm(self) -> None:
        """Stop listening, and wait until that is so: only idle workers hold the bell."""
        with self._change:
            self._seconds = None
            if self._listening:
                os.write(self._write, b"\0")
                self._change.wait_for(lambda: not self._listening, timeout=5)

    def close(self) -> None:
        self._closed = True
        self.disarm()
        with self._change:
            self._change.notify_all()
        self._thread.join(timeout=5)
        os.close(self._read)
        os.close(self._write)

    _listening = False

    def _run(self) -> None:
        while (seconds := self._armed()) is not None:
            rang = False
            try:
                rang = self.station.queue.broker.wait(seconds, interrupt=self._read)
            except TaskQueueError as error:
                # The next scan finds that too, and waits for its return.
                log.debug("a bell cannot be heard: %s", error, extra={"queue": self.station.queue.name})
            finally:
                with self._change:
                    self._listening = False
                    self._drain()
                    self._change.notify_all()
            if rang:
                self.station.ring()
                self._orders.poke()

    def _armed(self) -> float | None:
        """Wait to be armed; for how long to listen, None at the end."""
        with self._change:
            self._change.wait_for(lambda: self._seconds is not None or self._closed)
            if self._closed:
                return None
            seconds, self._seconds, self._listening = self._seconds, None, True
            return seconds

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 64)
