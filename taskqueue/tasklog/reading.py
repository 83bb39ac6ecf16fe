"""The application's view of a task log: what `queue.task_log` is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from msgspec.structs import replace

from taskqueue import codec
from taskqueue.clock import Clock, SystemClock, to_micros
from taskqueue.errors import InvalidSearch, TaskQueueError, UnknownEntry
from taskqueue.ids import is_id
from taskqueue.report import Report
from taskqueue.status import ENDED, Status
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.tasklog.entry import MAX_PAGE, Attempt, Cancellation, Entry, Filter, Op, Page, Search
from taskqueue.visible import is_storable

BATCH = 500
Which = str | Iterable[str] | Search
Progress = Callable[[int], None]


class TaskLog:
    """Entries and reports, for reading, cancelling and tidying up.

    With an `owner` it sees and changes only what is that owner's: for the rest, anything else is not there.
    """

    def __init__(self, broker: TaskLogBroker, *, owner: str | None = None, clock: Clock | None = None) -> None:
        self.broker = broker
        self.owner = owner
        self._clock = clock or SystemClock()

    def for_owner(self, owner: str) -> TaskLog:
        """The same log, as `owner` may see it. A view for one owner stays that owner's."""
        if self.owner not in (None, owner):
            raise TaskQueueError(f"this view of the task log is {self.owner!r}'s and shows nothing of {owner!r}'s")
        return TaskLog(self.broker, owner=owner, clock=self._clock)

    def get(self, task_id: str) -> Entry:
        """The entry. Raises UnknownEntry."""
        entry = self.broker.get(task_id)
        if entry is None or self.owner not in (None, entry.owner):
            form = "it may have been purged" if is_id(task_id) else "and this is not what task ids look like"
            raise UnknownEntry(f"the task log has no entry {task_id!r}; {form}")
        return entry

    def status(self, task_id: str) -> Status:
        """Where the task stands. Raises UnknownEntry."""
        if self.owner is None and (status := self.broker.statuses([task_id]).get(task_id)) is not None:
            return status
        return self.get(task_id).status

    def report(self, task_id: str) -> Report | None:
        """What the task answered; None while it has not ended. Raises UnknownEntry."""
        report = self.get(task_id).report
        return codec.decode_report(report) if report is not None else None

    def attempts(self, task_id: str) -> list[Attempt]:
        """Its attempts that did not end well, oldest first. Raises UnknownEntry."""
        return self.broker.attempts(self.get(task_id).id)

    def children(self, task_id: str) -> list[Entry]:
        """Its direct children, oldest first. Raises UnknownEntry."""
        children = self.broker.children(self.get(task_id).id)
        return [child for child in children if self.owner in (None, child.owner)]

    def search(
        self,
        *filters: Filter,
        sort: str = "created",
        descending: bool = True,
        limit: int = 50,
        after: str | None = None,
        **equal: Any,
    ) -> Page:
        """One page of entries, without payload: `search(status="failed", queue=["mail", "reports"])`.

        Keywords are columns and what they must equal; a list means one of these. Statuses may be given by label,
        times as aware datetimes. `after` is the `next` of the page before. Raises InvalidSearch.
        """
        conditions = tuple(map(_plain, (*filters, *(_equal(column, value) for column, value in equal.items()))))
        return self._page(Search(filters=conditions, sort=sort, descending=descending, limit=limit, after=after))

    def each(self, search: Search) -> Iterator[Entry]:
        """All entries that a search finds, page by page."""
        page = self._page(search)
        yield from page.entries
        while page.next is not None:
            page = self._page(replace(search, after=page.next))
            yield from page.entries

    def stats(self) -> dict[str, dict[Status, int]]:
        """How many entries there are, by queue and status."""
        return self.broker.stats(owner=self.owner)

    def categories(self) -> dict[str, int]:
        """How many entries there are, by the coarse words for people (`Status.category`)."""
        found = Counter({status.category: 0 for status in Status})
        for counts in self.stats().values():
            for status, n in counts.items():
                found[status.category] += n
        return dict(found)

    def cancel(self, which: Which, *, force: bool = False, progress: Progress | None = None) -> dict[str, Cancellation]:
        """Cancel a task, several, or all that a search finds (P12); what was done, by id.

        An id given alone must exist (UnknownEntry); of several, those that do not are passed over. `force` cancels
        running ones at once, and what they still write is refused. `progress` hears how many were dealt with.
        """
        done: dict[str, Cancellation] = {}
        for ids in self._batches(which):
            done |= self.broker.cancel(ids, force=force)
            if progress is not None:
                progress(len(done))
        return done

    def archive(self, which: Which, *, progress: Progress | None = None) -> set[str]:
        """Put ended entries away: one, several, or all that a search finds; the ids that were archived."""
        done: set[str] = set()
        for ids in self._batches(which):
            done |= self.broker.archive(ids)
            if progress is not None:
                progress(len(done))
        return done

    def purge(
        self, retention: Mapping[Status, float] | float, *, batch: int = BATCH, progress: Progress | None = None
    ) -> int:
        """Delete entries that ended longer ago than `retention` seconds (for all statuses or by status); how many.

        Whole ended trees only, oldest first, in transactions of `batch` entries; `progress` hears the sum after each.
        """
        if self.owner is not None:
            raise TaskQueueError(f"this view of the task log is {self.owner!r}'s; purge from the whole one")
        keep = retention if isinstance(retention, Mapping) else dict.fromkeys(ENDED, retention)
        now, deleted = self._clock.micros(), 0
        for status, seconds in keep.items():
            for n in self.broker.purge(status=status, before=now - int(seconds * 1e6), limit=batch):
                deleted += n
                if progress is not None:
                    progress(deleted)
        return deleted

    def _page(self, search: Search) -> Page:
        if self.owner is not None:
            search = replace(search, owner=self.owner)
        return self.broker.search(search)

    def _batches(self, which: Which) -> Iterator[Sequence[str]]:
        if isinstance(which, str):
            yield [self.get(which).id]
            return
        ids: Iterator[str]
        if isinstance(which, Search):
            # By creation: what is done to an entry must not move it to another page.
            ids = (entry.id for entry in self.each(replace(which, sort="created", after=None, limit=BATCH)))
        else:
            ids = iter(which)
        while batch := list(islice(ids, BATCH)):
            yield batch if isinstance(which, Search) else self._own(batch)

    def _own(self, ids: list[str]) -> list[str]:
        if self.owner is None:
            return ids
        possible = [task_id for task_id in ids if is_storable(task_id)]
        page = self._page(Search(filters=(Filter("id", Op.IN, possible),), limit=MAX_PAGE))
        return [entry.id for entry in page.entries]


def _equal(column: str, value: object) -> Filter:
    return Filter(column, Op.IN if isinstance(value, list | tuple | set | frozenset) else Op.EQ, value)


def _plain(condition: Filter) -> Filter:
    """Labels of statuses and datetimes as the values that are stored."""
    value = condition.value
    if condition.op == Op.IN and isinstance(value, list | tuple | set | frozenset):
        return replace(condition, value=[_stored(condition.column, one) for one in value])
    return replace(condition, value=_stored(condition.column, value))


def _stored(column: str, value: object) -> object:
    try:
        if isinstance(value, datetime):
            return to_micros(value)
        return Status.parse(value) if column == "status" and isinstance(value, str) else value
    except ValueError as error:
        raise InvalidSearch(f"{column}: {error}") from None
