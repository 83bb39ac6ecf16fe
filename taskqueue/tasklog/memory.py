"""The task log in memory: for tests, for `memory://` and wherever nothing has to outlive the process."""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from taskqueue.clock import Clock
from taskqueue.plugins import Store
from taskqueue.status import HELD, Status
from taskqueue.tasklog.base import LogCapabilities
from taskqueue.tasklog.entry import Attempt, Entry, Filter, Op, Page
from taskqueue.tasklog.query import COMPARE, Query
from taskqueue.tasklog.store import Change, Head
from taskqueue.tasklog.stored import StoredTaskLog

T = TypeVar("T")


class InMemoryTaskLogBroker(StoredTaskLog):
    """Entries of this process, gone with it. Safe in threads."""

    capabilities = LogCapabilities(durable=False, shared=False, transactional=False)

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__(MemoryStore(), clock=clock)

    @classmethod
    def open(cls, store: Store) -> Self:  # noqa: ARG003  every task log is opened alike
        """The log of a `memory://` URL: an empty one at each call."""
        return cls()

    def initialize(self) -> None:
        """Nothing to create."""


class MemoryStore:
    """Entries by id. One lock, which a turn holds: what a turn writes is seen as a whole, and its heads stay true."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._entries: dict[str, Entry] = {}
        self._attempts: defaultdict[str, dict[int, Attempt]] = defaultdict(dict)
        self._children: defaultdict[str, set[str]] = defaultdict(set)
        self._counts: Counter[tuple[str, Status]] = Counter()
        self._places = 0

    def turn(self, step: Callable[[], T]) -> T:
        with self._lock:
            return step()

    def insert(self, entries: Sequence[Entry]) -> list[str]:
        new = {entry.id: entry for entry in reversed(entries) if self._is_new(entry)}
        for entry in reversed(new.values()):
            self._entries[entry.id] = replace(entry, place=self._next_place()) if entry.group_name else entry
            self._counts[entry.queue, entry.status] += 1
            if entry.parent_id is not None:
                self._children[entry.parent_id].add(entry.id)
        return list(reversed(new))

    def _is_new(self, entry: Entry) -> bool:
        key = entry.unique_key
        return entry.id not in self._entries and (key is None or self.keyed(entry.queue, key) is None)

    def _next_place(self) -> int:
        self._places += 1
        return self._places

    def heads(self, ids: Iterable[str]) -> dict[str, Head]:
        return {i: _head(self._entries[i]) for i in ids if i in self._entries}

    def claim(self, ids: Sequence[str], *, worker: str, incarnation: str) -> dict[str, Head]:
        heads = [head for head in self.heads(ids).values() if head.status is Status.ENQUEUED]
        holder = {"worker": worker, "incarnation": incarnation}
        fresh = holder | {"status": Status.DEQUEUED, "started_at": None, "progress": None}
        self.change([Change(head, fresh | {"fence": head.fence + 1}) for head in heads])
        return self.heads([head.id for head in heads])

    def change(self, changes: Sequence[Change]) -> None:
        for change in changes:
            entry = self._entries[change.head.id]
            self._counts[entry.queue, entry.status] -= 1
            self._counts[entry.queue, change.status] += 1
            self._entries[entry.id] = replace(entry, **change.values)

    def relayed(self, ids: Sequence[str], at: int | None) -> None:
        self.change([Change(head, {"relayed_at": at}) for head in self.heads(ids).values()])

    def note(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            self._attempts[attempt.task_id].setdefault(attempt.fence, attempt)

    def delete(self, ids: Sequence[str]) -> int:
        with self._lock:
            gone = [entry for i in ids if (entry := self._entries.pop(i, None)) is not None]
            for entry in gone:
                self._counts[entry.queue, entry.status] -= 1
                self._attempts.pop(entry.id, None)
                if entry.parent_id is not None:
                    self._forget_child(entry.parent_id, entry.id)
            return len(gone)

    def _forget_child(self, parent_id: str, child_id: str) -> None:
        self._children[parent_id].discard(child_id)
        if not self._children[parent_id]:
            del self._children[parent_id]

    def entry(self, task_id: str) -> Entry | None:
        return self._entries.get(task_id)

    def statuses(self, ids: Sequence[str]) -> dict[str, Status]:
        with self._lock:
            return {i: self._entries[i].status for i in ids if i in self._entries}

    def cancel_flags(self, ids: Sequence[str]) -> set[str]:
        with self._lock:
            return {i for i in ids if i in self._entries and self._entries[i].cancel_requested}

    def attempts(self, task_id: str) -> list[Attempt]:
        with self._lock:
            return [attempt for _, attempt in sorted(self._attempts.get(task_id, {}).items())]

    def children(self, task_id: str) -> list[Entry]:
        return [replace(child, payload=b"") for child in sorted(self._below(task_id), key=_age)]

    def unrelayed(self, *, before: int, queue: str, limit: int, due: int | None) -> list[Entry]:
        left = (e for e in self._by_id() if e.status is Status.ENQUEUED and e.relayed_at is None)
        soon = (e for e in left if due is None or (e.due_at or 0) <= due)
        return list(islice((e for e in soon if e.created_at < before and e.queue == queue), limit))

    def unheard_of(self, *, before: int, queue: str, limit: int) -> list[Entry]:
        here = (e for e in self._by_id() if e.status is Status.ENQUEUED and e.queue == queue)
        return list(islice((e for e in here if e.relayed_at is not None and e.relayed_at < before), limit))

    def turns(self, ids: Sequence[str], *, now: int) -> dict[str, str]:
        grouped = [self._entries[i] for i in ids if i in self._entries and self._entries[i].group_name is not None]
        return {entry.id: self._turn_of(entry, now) for entry in grouped}

    def _turn_of(self, entry: Entry, now: int) -> str:
        group = [e for e in self._by_id() if (e.queue, e.group_name) == (entry.queue, entry.group_name)]
        held = [e for e in group if e.status in HELD]
        line = [e for e in group if e.status is Status.ENQUEUED and (e.fence > 0 or (e.due_at or 0) <= now)]
        return (held or sorted(line, key=lambda e: e.place or 0) or [entry])[0].id

    def keyed(self, queue: str, key: str) -> str | None:
        return next((e.id for e in self._by_id() if e.queue == queue and e.unique_key == key), None)

    def page(self, query: Query) -> Page:
        found = (entry for entry in self._by_id() if _matches(entry, query))
        ordered = sorted((query.key(entry), entry) for entry in found if _is_behind(entry, query))
        entries = [entry for _, entry in (reversed(ordered) if query.descending else ordered)]
        shown = tuple(replace(entry, payload=b"") for entry in entries[: query.limit])
        return Page(shown, query.cursor(shown[-1]) if len(entries) > query.limit else None)

    def stats(self, owner: str | None) -> dict[str, dict[Status, int]]:
        with self._lock:
            counts = self._counts if owner is None else Counter(_place(e) for e in self._by_id() if e.owner == owner)
            found: defaultdict[str, dict[Status, int]] = defaultdict(dict)
            for (queue, status), n in counts.items():
                if n:
                    found[queue][status] = n
            return dict(found)

    def with_open_children(self, ids: Sequence[str]) -> set[str]:
        return {i for i in ids if any(not child.status.ended for child in self._below(i))}

    def child_counts(self, parent_id: str) -> dict[Status, int]:
        return dict(Counter(_ended_as(child) for child in self._below(parent_id)))

    def child_ids(self, parent_id: str, statuses: Sequence[Status], limit: int) -> list[str]:
        return sorted(child.id for child in self._below(parent_id) if _ended_as(child) in statuses)[:limit]

    def awaits_message(self, parents: Sequence[str], *, after: int) -> bool:
        return any((child.due_at or 0) >= after for parent in parents for child in self._below(parent))

    def lively_children(self, parents: Sequence[str]) -> list[str]:
        below = (child for parent in parents for child in self._below(parent))
        return [child.id for child in below if not child.status.ended or child.has_children]

    def parents_among_children(self, parent_id: str) -> list[str]:
        return [child.id for child in self._below(parent_id) if child.has_children]

    def ended(self, status: Status, *, after: str, below: str, limit: int) -> list[Head]:
        found = (_head(entry) for entry in self._by_id() if entry.status is status and after < entry.id < below)
        return list(islice(found, limit))

    def close(self) -> None:
        pass

    def _below(self, parent_id: str) -> list[Entry]:
        with self._lock:
            return [self._entries[i] for i in sorted(self._children.get(parent_id, ()))]

    def _by_id(self) -> Iterator[Entry]:
        with self._lock:
            return iter([self._entries[i] for i in sorted(self._entries)])


def _head(entry: Entry) -> Head:
    return Head(*(getattr(entry, field) for field in Head.__struct_fields__))


def _ended_as(entry: Entry) -> Status:
    return entry.status if entry.archived_from is None else entry.archived_from


def _age(entry: Entry) -> tuple[int, str]:
    return entry.created_at, entry.id


def _place(entry: Entry) -> tuple[str, Status]:
    return entry.queue, entry.status


def _matches(entry: Entry, query: Query) -> bool:
    if query.statuses is not None and entry.status not in query.statuses:
        return False
    return all(_holds(entry, condition) for condition in query.filters)


def _holds(entry: Entry, condition: Filter) -> bool:
    value: Any = getattr(entry, condition.column)
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if condition.value is None or condition.op is Op.NE:
        return COMPARE[condition.op](value, condition.value)
    if value is None:
        return False
    if condition.op is Op.LIKE:
        return _like(condition.value).fullmatch(value) is not None
    return COMPARE[condition.op](value, condition.value)


def _like(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\\(.)|(.)", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return re.compile("".join(wild.get(c) or re.escape(p or c) for p, c in parts), re.DOTALL | re.IGNORECASE | re.ASCII)


def _is_behind(entry: Entry, query: Query) -> bool:
    key = query.key(entry)
    if key[0] is None:
        return False
    return query.after is None or (key < query.after if query.descending else key > query.after)
