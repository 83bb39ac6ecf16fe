"""The task log contract. `tests/contract/test_task_log.py` is its definition; this page is its summary.

Every change of status is a compare-and-set that asks `taskqueue.status`, and what a run writes is guarded by its fence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, Self

import msgspec

from taskqueue.message import Delivery, Lost
from taskqueue.plugins import Store
from taskqueue.status import Status
from taskqueue.tasklog.entry import Attempt, Cancellation, Cause, Claim, Entry, Outcome, Page, Refusal, Search


class LogCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a task log can do. Ask these, never its name."""

    durable: bool
    shared: bool
    #: writes take part in a database transaction (`taskqueue.database`)
    transactional: bool


class TaskLogBroker(Protocol):
    """Where entries are stored."""

    capabilities: LogCapabilities

    @classmethod
    def open(cls, store: Store) -> Self:
        """The task log in that store; touches nothing yet."""

    def initialize(self) -> None:
        """Create what is missing and touch nothing else (P17)."""

    def add(self, entries: Sequence[Entry]) -> list[str]:
        """Store those whose id and key are new; the ids that were new. Repeating it is harmless (P1).

        Those of a group get the next places in its line. At most one of `entries` has a key, and then it is the only.
        """

    def adopt_child(self, parent_id: str, *, fence: int) -> bool:
        """Mark the parent as having children, if `fence` is still its own and it is running; False if not."""

    def relayed(self, ids: Sequence[str], *, at: int | None) -> None:
        """Note that these messages reached their broker; None: that they have to be pushed (again)."""

    def unrelayed(self, *, before: int, limit: int, queue: str, due: int | None = None) -> list[Entry]:
        """Enqueued entries of that queue created before that time whose message has not reached its broker.

        With `due`, those that are to wait for longer than until then are left out.
        """

    def unheard_of(self, *, before: int, limit: int, queue: str) -> list[Entry]:
        """Enqueued entries of that queue whose message reached its broker before that time: it may be lost."""

    def claim(
        self, deliveries: Sequence[Delivery], *, worker: str, incarnation: str, due: int | None = None
    ) -> dict[str, Claim | Refusal]:
        """Enqueued -> dequeued for each delivery's entry; by id, the claim or why not.

        `worker` is what people see, `incarnation` the owner of the leases at the broker (R2).
        One claim an id: of two deliveries of the same task only one may run. A claim whose `cancel_requested` is set
        must be finished as cancelled and not be started. With `due` messages are only hints (R7): what is due later
        than that is refused, and so is what is not its group's next, or must be leased singly and came with others.
        """

    def turns(self, ids: Sequence[str]) -> dict[str, str]:
        """Whose turn it is in the group of each of these that has one: the one held, or else the first in line.

        A task that was enqueued with a delay stands in line once that is over; one that is run again kept its place.
        """

    def keyed(self, queue: str, key: str) -> str | None:
        """The id of that queue's task with that `unique_key`, or None."""

    def start(self, task_id: str, *, fence: int, attempt: int, at: int) -> bool:
        """Dequeued -> running. False: the fence is not the current one."""

    def progress(self, task_id: str, *, fence: int, progress: bytes) -> bool:
        """Store how far a run has come. False: the fence is not the current one."""

    def finish(self, outcomes: Sequence[Outcome]) -> set[str]:
        """Store what became of these runs, and settle parents (P11); the ids that were accepted.

        Accepted is what bears the current fence (P15); repeating it with the same fence is accepted too (R4). What
        was to be enqueued again ends cancelled instead if that was requested (P12).
        """

    def release(self, claims: Mapping[str, int], *, cause: Cause | None = None, detail: str = "") -> set[str]:
        """Dequeued or running -> enqueued for these ids, if the fence given is still theirs; the ids that were.

        Those whose cancel was requested end cancelled instead (P12).
        With a `cause`, an entry that was running keeps an `Attempt` that says so. It counts among no `attempts`.
        """

    def lost(self, lost: Sequence[Lost], *, max_crashes: Mapping[str, int]) -> list[Lost]:
        """What the broker recovered goes back to enqueued; those that ended instead (their message must go).

        To be called in the transaction in which the broker recovered them, before anyone can claim them again. An
        entry that another incarnation claimed stays as it is: what was lost is a second message of it (P2).
        For those with a `cause`, and for what was held singly (`only_one`), a crash is counted. Past the queue's
        `max_crashes` the entry is failed with a report that names the cause (P4). A run that ended without being
        counted so is none of the entry's `attempts`; so `attempts - crashes` are those that ended by themselves.
        """

    def cancel_flags(self, ids: Sequence[str]) -> set[str]:
        """Those of `ids` whose cancel was requested."""

    def cancel(self, ids: Sequence[str], *, force: bool = False) -> dict[str, Cancellation]:
        """Cancel these and the open tasks below them; what was done to each of `ids` that exists (P12).

        A parent that only waits for its children is asked (`requested`), and ends as they do. `force` ends a running
        one's claim at once: its worker is refused.
        """

    def archive(self, ids: Sequence[str]) -> set[str]:
        """Put away those that have ended; the ids that were archived."""

    def get(self, task_id: str) -> Entry | None:
        """The entry, or None."""

    def statuses(self, ids: Sequence[str]) -> dict[str, Status]:
        """Statuses of those that exist."""

    def attempts(self, task_id: str) -> list[Attempt]:
        """Its attempts that did not end well, oldest first."""

    def children(self, task_id: str) -> list[Entry]:
        """Its direct children (without payload), oldest first."""

    def search(self, search: Search) -> Page:
        """One page of entries (without payload)."""

    def stats(self, *, owner: str | None = None) -> dict[str, dict[Status, int]]:
        """Entries by queue and status. Does not scan; with an owner it reads that owner's entries."""

    def settle(self, parents: Iterable[str]) -> None:
        """Decide these parents anew from their children (P11); harmless at any time."""

    def purge(self, *, status: Status, before: int, limit: int) -> Iterator[int]:
        """Delete what ended in that status before that time, whole ended trees only, as the iterator is driven.

        In transactions of at most `limit` entries; yields how many each deleted.
        """

    def close(self) -> None:
        """Let go of connections."""
