"""A task log over a store: each verb of the contract is one turn of the store, decided by the rules beside this.

Ids and owners come from anywhere. One with NUL or half of a surrogate pair was never stored: nothing has it, and no
store is asked, since databases do not find nothing then; each fails in a way of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from taskqueue.clock import Clock, SystemClock
from taskqueue.message import Delivery, Lost
from taskqueue.status import Status
from taskqueue.tasklog import cancelling, claiming, finishing, parents, purging, returning
from taskqueue.tasklog.base import LogCapabilities
from taskqueue.tasklog.entry import Attempt, Cancellation, Cause, Claim, Entry, Outcome, Page, Refusal, Search
from taskqueue.tasklog.query import check
from taskqueue.tasklog.store import EntryStore
from taskqueue.visible import is_storable


class StoredTaskLog:
    """Keeps the contract of `TaskLogBroker`. `clock` gives the times of what the log itself decides."""

    capabilities: LogCapabilities

    def __init__(self, store: EntryStore, *, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or SystemClock()

    def add(self, entries: Sequence[Entry]) -> list[str]:
        return self._store.turn(lambda: self._store.insert(entries))

    def adopt_child(self, parent_id: str, *, fence: int) -> bool:
        values = {"has_children": True}
        return self._store.turn(lambda: claiming.write(self._store, parent_id, fence=fence, values=values))

    def relayed(self, ids: Sequence[str], *, at: int | None) -> None:
        self._store.turn(lambda: self._store.relayed(ids, at))

    def unrelayed(self, *, before: int, limit: int, queue: str, due: int | None = None) -> list[Entry]:
        return self._store.unrelayed(before=before, queue=queue, limit=limit, due=due)

    def unheard_of(self, *, before: int, limit: int, queue: str) -> list[Entry]:
        return self._store.unheard_of(before=before, queue=queue, limit=limit)

    def claim(
        self, deliveries: Sequence[Delivery], *, worker: str, incarnation: str, due: int | None = None
    ) -> dict[str, Claim | Refusal]:
        return self._store.turn(
            lambda: claiming.claim(self._store, deliveries, worker=worker, incarnation=incarnation, due=due)
        )

    def turns(self, ids: Sequence[str]) -> dict[str, str]:
        return self._store.turns(_possible(ids), now=self._clock.micros())

    def keyed(self, queue: str, key: str) -> str | None:
        return self._store.keyed(queue, key) if is_storable(key) else None

    def start(self, task_id: str, *, fence: int, attempt: int, at: int) -> bool:
        return self._store.turn(lambda: claiming.start(self._store, task_id, fence=fence, attempt=attempt, at=at))

    def progress(self, task_id: str, *, fence: int, progress: bytes) -> bool:
        values = {"progress": progress}
        return self._store.turn(lambda: claiming.write(self._store, task_id, fence=fence, values=values))

    def finish(self, outcomes: Sequence[Outcome]) -> set[str]:
        now = self._clock.micros()
        return self._store.turn(lambda: finishing.finish(self._store, outcomes, now=now))

    def release(self, claims: Mapping[str, int], *, cause: Cause | None = None, detail: str = "") -> set[str]:
        now = self._clock.micros()
        return self._store.turn(lambda: returning.release(self._store, claims, cause=cause, detail=detail, now=now))

    def lost(self, lost: Sequence[Lost], *, max_crashes: Mapping[str, int]) -> list[Lost]:
        now = self._clock.micros()
        return self._store.turn(lambda: returning.lost(self._store, lost, max_crashes=max_crashes, now=now))

    def cancel_flags(self, ids: Sequence[str]) -> set[str]:
        return self._store.cancel_flags(_possible(ids))

    def cancel(self, ids: Sequence[str], *, force: bool = False) -> dict[str, Cancellation]:
        now, possible = self._clock.micros(), _possible(ids)
        return self._store.turn(lambda: cancelling.cancel(self._store, possible, force=force, now=now))

    def archive(self, ids: Sequence[str]) -> set[str]:
        possible = _possible(ids)
        return self._store.turn(lambda: cancelling.archive(self._store, possible))

    def get(self, task_id: str) -> Entry | None:
        return self._store.entry(task_id) if is_storable(task_id) else None

    def statuses(self, ids: Sequence[str]) -> dict[str, Status]:
        return self._store.statuses(_possible(ids))

    def attempts(self, task_id: str) -> list[Attempt]:
        return self._store.attempts(task_id) if is_storable(task_id) else []

    def children(self, task_id: str) -> list[Entry]:
        return self._store.children(task_id) if is_storable(task_id) else []

    def search(self, search: Search) -> Page:
        return self._store.page(check(search))

    def stats(self, *, owner: str | None = None) -> dict[str, dict[Status, int]]:
        return self._store.stats(owner) if owner is None or is_storable(owner) else {}

    def settle(self, parents_of: Iterable[str]) -> None:
        now, wanted = self._clock.micros(), _possible(parents_of)
        self._store.turn(lambda: parents.settle(self._store, wanted, now=now))

    def purge(self, *, status: Status, before: int, limit: int) -> Iterator[int]:
        return purging.purge(self._store, status=status, before=before, limit=limit)

    def close(self) -> None:
        self._store.close()


def _possible(ids: Iterable[str]) -> list[str]:
    return [task_id for task_id in ids if is_storable(task_id)]
