"""The clocks of this host, which count from its boot, and what a reboot means for what was stored by them (P20).

Leases go by the clock by which a worker enforces its own lease's end, which stands still while the host sleeps; delays
by one that goes on. Neither can be set. Both begin anew at each boot, which the boot id tells.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import sqlalchemy as sa

from taskqueue.clock import Clock
from taskqueue.database.schema import Tables
from taskqueue.database.transaction import Transaction

_LEASE: int | None
_DUE: int | None
if sys.platform == "linux":
    _LEASE, _DUE = time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME
elif sys.platform == "darwin":
    _LEASE, _DUE = time.CLOCK_UPTIME_RAW, time.CLOCK_MONOTONIC
else:
    _LEASE = _DUE = None


def lease_clock() -> int:
    """Microseconds of `time.monotonic()`."""
    return time.monotonic_ns() // 1000 if _LEASE is None else time.clock_gettime_ns(_LEASE) // 1000


def due_clock() -> int:
    """Microseconds since the boot, the host's sleep included."""
    return time.monotonic_ns() // 1000 if _DUE is None else time.clock_gettime_ns(_DUE) // 1000


def boot_id() -> str:
    """A name of this boot, or a constant where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _darwin_boot_id() if sys.platform == "darwin" else "unknown"


def _darwin_boot_id() -> str:
    import ctypes

    size = ctypes.c_size_t(64)
    text = ctypes.create_string_buffer(size.value)
    failed = ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", text, ctypes.byref(size), None, 0)
    return "unknown" if failed else text.value.decode()


class Boot:
    """Compares the boot that a database was last used in with the present one."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self.id = boot_id()
        self._tables, self._clock = tables, clock
        self._stored = sa.select(tables.meta.c.value).where(tables.meta.c.name == "boot_id")

    def is_new(self, connection: sa.Connection) -> bool:
        """Whether the host was started since this database was last used."""
        return connection.execute(self._stored).scalar() != self.id

    def begin(self, transaction: Transaction) -> None:
        """In an open write transaction: end every lease, and find the delays' moments on the new clock."""
        if not self.is_new(transaction.connection):
            return
        meta, delayed = self._tables.meta, self._tables.delayed
        shift = due_clock() - self._clock.micros()
        transaction.execute(sa.update(self._tables.lease).values(lease_until=0))
        for table in (self._tables.worker, self._tables.host, self._tables.order):
            transaction.execute(sa.update(table).values(lease_until=0))
        transaction.execute(sa.update(delayed).values(due=delayed.c.due_wall + shift))
        transaction.execute(sa.delete(meta).where(meta.c.name == "boot_id"))
        transaction.execute(sa.insert(meta), {"name": "boot_id", "value": self.id})
