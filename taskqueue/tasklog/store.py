"""What stands under the task log's rules: a store of entries that can read heads, write changes, and count.

The rules (claiming, finishing, returning, cancelling, parents, purging) decide purely, from heads to changes; a store
only reads and writes. So every built-in task log keeps the same rules, and a step between two statuses is decided in
one place, whatever it is stored in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from taskqueue.status import Status
from taskqueue.tasklog.entry import Attempt, Entry, Page
from taskqueue.tasklog.query import Query

T = TypeVar("T")


class Head(msgspec.Struct, frozen=True, gc=False):
    """What the rules ask about an entry: all but its large values. The fields are named as those of `Entry`."""

    id: str
    queue: str
    status: Status
    fence: int
    attempts: int
    crashes: int
    parent_id: str | None
    master_status: bool
    has_children: bool
    cancel_requested: bool
    alone: bool
    worker: str | None
    incarnation: str | None
    started_at: int | None
    finished_at: int | None
    relayed_at: int | None
    unknown_since: int | None
    due_at: int | None
    group_name: str | None


def claimed(head: Head, worker: str, incarnation: str) -> Head:
    """What the head of an enqueued entry is after a claim."""
    holder = {"worker": worker, "incarnation": incarnation}
    return replace(head, status=Status.DEQUEUED, fence=head.fence + 1, started_at=None, **holder)


class Change(msgspec.Struct, frozen=True):
    """What an entry becomes: new values by column. `head` is what it was when its turn began."""

    head: Head
    values: dict[str, Any]

    @property
    def status(self) -> Status:
        """The status after the change."""
        status: Status = self.values.get("status", self.head.status)
        return status


class EntryStore(Protocol):
    """Where entries lie. Outside of `turn` each call is a turn of its own."""

    def turn(self, step: Callable[[], T]) -> T:
        """Run `step` so that others see all that it wrote or nothing, and its heads stay true until it ends."""

    def insert(self, entries: Sequence[Entry]) -> list[str]:
        """Store and count those whose id is new; their ids."""

    def heads(self, ids: Iterable[str]) -> dict[str, Head]:
        """Heads of those that exist, locked for the rest of the turn in ascending order of id (R12)."""

    def claim(self, ids: Sequence[str], *, worker: str, incarnation: str) -> dict[str, Head]:
        """Those of these that are enqueued become dequeued by `worker` in this life of it, with the next fence."""

    def change(self, changes: Sequence[Change]) -> None:
        """Write these, and count the steps from status to status."""

    def relayed(self, ids: Sequence[str], at: int | None) -> None:
        """Note that these messages reached their broker; None: that they have to be pushed (again)."""

    def note(self, attempts: Sequence[Attempt]) -> None:
        """Store those attempts that are not there yet."""

    def delete(self, ids: Sequence[str]) -> int:
        """Remove these entries and their attempts, and count them out; how many there were."""

    def entry(self, task_id: str) -> Entry | None:
        """The whole entry, or None."""

    def statuses(self, ids: Sequence[str]) -> dict[str, Status]:
        """Statuses of those that exist."""

    def cancel_flags(self, ids: Sequence[str]) -> set[str]:
        """Those whose cancel was requested."""

    def attempts(self, task_id: str) -> list[Attempt]:
        """Its attempts, oldest first."""

    def children(self, task_id: str) -> list[Entry]:
        """Its direct children without payload, oldest first."""

    def unrelayed(self, *, before: int, queue: str, limit: int, due: int | None) -> list[Entry]:
        """Enqueued entries created before that time whose message has not reached its broker, oldest first."""

    def unheard_of(self, *, before: int, queue: str, limit: int) -> list[Entry]:
        """Enqueued entries whose message reached its broker before that time, oldest first."""

    def turns(self, ids: Sequence[str], *, now: int) -> dict[str, str]:
        """Whose turn it is in the group of each of these that has one."""

    def keyed(self, queue: str, key: str) -> str | None:
        """The id of that queue's task with that key."""

    def page(self, query: Query) -> Page:
        """One page of a checked search."""

    def stats(self, owner: str | None) -> dict[str, dict[Status, int]]:
        """Entries by queue and status; only with an owner is anything but counts read."""

    def with_open_children(self, ids: Sequence[str]) -> set[str]:
        """Those that have a child which has not ended."""

    def child_counts(self, parent_id: str) -> dict[Status, int]:
        """How many children stand where. One that was put away counts as what it was."""

    def child_ids(self, parent_id: str, statuses: Sequence[Status], limit: int) -> list[str]:
        """Ids of children in these statuses, ascending. One that was put away counts as what it was."""

    def awaits_message(self, parents: Sequence[str], *, after: int) -> bool:
        """Whether a child of these is due at that time or later: its message is still to come, whatever it is now."""

    def lively_children(self, parents: Sequence[str]) -> list[str]:
        """Ids of children that are open or have children themselves."""

    def parents_among_children(self, parent_id: str) -> list[str]:
        """Ids of children that have children."""

    def ended(self, status: Status, *, after: str, below: str, limit: int) -> list[Head]:
        """Entries in that status with `after` < id < `below`, ascending, not locked."""

    def close(self) -> None:
        """Let go of connections."""
