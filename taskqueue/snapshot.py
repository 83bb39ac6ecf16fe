"""What the supervisor is doing at one moment: the answer to `status`, plain values that travel as JSON.

Ages and waits are seconds; an age that is unknown is None. Moments are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

Kind = Literal["queue", "pool", "keeper", "web"]
#: kinds of pools that run tasks; the others attend to them
WORKING = ("queue", "pool")
SlotState = Literal["down", "boot", "up", "stopping", "fatal"]
Activity = Literal["booting", "idle", "running", "paused", "stopping", ""]


class Pause(Struct, frozen=True, kw_only=True):
    """One reason why tasks do not start. Each is set and taken back on its own (P6)."""

    scope: Literal["host", "pool", "slot", "queue"]
    #: who: "signal", "ann (uid 1000)"
    by: str
    since: float | None = None


class Slot(Struct, frozen=True, kw_only=True):
    """A worker's place and the process that is in it, if there is one."""

    #: host/pool/index
    name: str
    pool: str
    index: int
    state: SlotState
    pid: int | None = None
    activity: Activity = ""
    task_id: str = ""
    task_name: str = ""
    task_age: float | None = None
    #: of the process
    age: float | None = None
    #: tasks that this process has done
    done: int = 0
    #: deaths that nobody ordered, since the master started
    restarts: int = 0
    #: private memory, in bytes
    memory: int | None = None
    paused: tuple[Pause, ...] = ()
    #: when it is started again
    retry_in: float | None = None
    #: what to know about it: "killed by SIGKILL 3 s ago"
    note: str = ""

    @property
    def label(self) -> str:
        """As commands name it: pool/index."""
        return f"{self.pool}/{self.index}"


class Pool(Struct, frozen=True, kw_only=True):
    """The workers of one queue ("queue") or of several ("pool"), or the keeper, or the web server."""

    name: str
    kind: Kind
    queues: tuple[str, ...] = ()
    #: workers that there should be now
    wanted: int
    #: workers that the file asks for
    configured: int
    #: whether `wanted` was said by hand
    scaled: bool = False
    paused: tuple[Pause, ...] = ()
    slots: tuple[Slot, ...] = ()

    @property
    def works(self) -> bool:
        """It runs tasks."""
        return self.kind in WORKING

    @property
    def up(self) -> int:
        """Workers that are ready."""
        return sum(slot.state == "up" for slot in self.slots)


class Snapshot(Struct, frozen=True, kw_only=True):
    """The whole."""

    version: str
    host: str
    pid: int
    #: the configuration's file
    config: str
    started_at: float
    uptime: float
    state: Literal["running", "stopping", "reloading"]
    paused: tuple[Pause, ...] = ()
    #: what somebody should look at: "reload refused: ..."
    problems: tuple[str, ...] = ()
    pools: tuple[Pool, ...] = ()

    @property
    def slots(self) -> Iterator[Slot]:
        """All of them."""
        return (slot for pool in self.pools for slot in pool.slots)

    @property
    def degraded(self) -> bool:
        """Whether somebody should look: a worker that should be ready is not, or there are problems."""
        return bool(self.problems) or any(pool.up < pool.wanted for pool in self.pools)
