"""Entries as rows of a database."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from taskqueue.database.engine import Database, StoreBusy
from taskqueue.ids import earliest
from taskqueue.status import Status
from taskqueue.tasklog import searching
from taskqueue.tasklog.entry import Attempt, Cause, Entry, Page
from taskqueue.tasklog.query import Query
from taskqueue.tasklog.rows import STATUSES, as_row, entry_of, head_of, plain
from taskqueue.tasklog.statements import LISTED, Statements
from taskqueue.tasklog.store import Change, Head, claimed

T = TypeVar("T")
NEVER = 2**63 - 1
AT_ONCE = "others stored some of these tasks at the same moment; try again"


class RdsStore:
    """Entries as rows. Every status that changes is counted in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = Statements(database.tables, database.dialect)

    def turn(self, step: Callable[[], T]) -> T:
        def transaction() -> T:
            with self._database.begin():
                return step()

        return self._database.turn(transaction)

    def insert(self, entries: Sequence[Entry]) -> list[str]:
        new = {entry.id: entry for entry in reversed(entries)}
        if len(new) > 1 or not self._database.dialect.counts_new:
            known = self.statuses(list(new))
            new = {i: entry for i, entry in new.items() if i not in known}
        new = {i: entry for i, entry in new.items() if self._holder(entry) is None}
        if not new:
            return []
        with self._database.begin() as tx:
            rows = [as_row(entry) for entry in self._placed(list(reversed(new.values())))]
            try:
                stored = self._database.dialect.insert_rows(tx, self._sql.insert, rows)
            except sa.exc.IntegrityError as error:
                raise StoreBusy(AT_ONCE) from error
            if stored == 0:
                return []
            if stored != len(new):
                raise StoreBusy(AT_ONCE)
            for (queue, status), n in Counter((e.queue, e.status) for e in new.values()).items():
                tx.count(queue, str(int(status)), n)
        return list(reversed(new))

    def _holder(self, entry: Entry) -> str | None:
        return self.keyed(entry.queue, entry.unique_key) if entry.unique_key is not None else None

    def _placed(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those of a group with the next places of its line: whoever comes later gets a later one."""
        if all(entry.group_name is None for entry in entries):
            return entries
        with self._database.begin() as tx:
            first = self._database.dialect.reserve_ids(tx, len(entries))
        return [replace(e, place=first + n) if e.group_name else e for n, e in enumerate(entries)]

    def heads(self, ids: Iterable[str]) -> dict[str, Head]:
        with self._database.begin() as tx:
            return {row[0]: head_of(row) for row in tx.rows(self._sql.heads, {"ids": sorted(set(ids))})}

    def claim(self, ids: Sequence[str], *, worker: str, incarnation: str) -> dict[str, Head]:
        if not ids:
            return {}
        given = {"ids": sorted(set(ids)), "by": worker, "life": incarnation}
        with self._database.begin() as tx:
            if self._database.dialect.returns_changes:
                taken = {row[0]: head_of(row) for row in tx.rows(self._sql.claim_enqueued, given)}
            else:
                free = [head for head in self.heads(ids).values() if head.status is Status.ENQUEUED]
                taken = {head.id: claimed(head, worker, incarnation) for head in free}
                if taken:
                    tx.run(self._sql.claim, given | {"ids": list(taken)})
            self._count((head.queue, Status.ENQUEUED, Status.DEQUEUED) for head in taken.values())
        return taken

    def change(self, changes: Sequence[Change]) -> None:
        by_columns: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        for change in changes:
            by_columns[tuple(change.values)].append({"of": change.head.id, **plain(change.values)})
        with self._database.begin() as tx:
            for rows in by_columns.values():
                self._database.dialect.update_rows(tx, self._sql.entry, rows)
            self._count((c.head.queue, c.head.status, c.status) for c in changes if "status" in c.values)

    def _count(self, steps: Iterable[tuple[str, Status, Status]]) -> None:
        with self._database.begin() as tx:
            for (queue, before, after), n in Counter(steps).items():
                tx.count(queue, str(int(before)), -n)
                tx.count(queue, str(int(after)), n)

    def relayed(self, ids: Sequence[str], at: int | None) -> None:
        with self._database.begin() as tx:
            tx.run(self._sql.relayed, {"ids": ids, "at": at})

    def note(self, attempts: Sequence[Attempt]) -> None:
        if attempts:
            with self._database.begin() as tx:
                tx.run_each(self._sql.note, [msgspec.structs.asdict(a) | {"cause": a.cause.value} for a in attempts])

    def delete(self, ids: Sequence[str]) -> int:
        return self.turn(lambda: self._delete(ids))

    def _delete(self, ids: Sequence[str]) -> int:
        gone = self.heads(ids)
        with self._database.begin() as tx:
            tx.run(self._sql.delete_attempts, {"ids": list(gone)})
            tx.run(self._sql.delete, {"ids": list(gone)})
            for head in gone.values():
                tx.count(head.queue, str(int(head.status)), -1)
        return len(gone)

    def entry(self, task_id: str) -> Entry | None:
        found = self._rows(self._sql.one, {"id": task_id})
        return entry_of(found[0], Entry.__struct_fields__) if found else None

    def statuses(self, ids: Sequence[str]) -> dict[str, Status]:
        return {i: STATUSES[status] for i, status in self._rows(self._sql.statuses, {"ids": ids})}

    def cancel_flags(self, ids: Sequence[str]) -> set[str]:
        return {i for (i,) in self._rows(self._sql.cancel_flags, {"ids": ids})}

    def attempts(self, task_id: str) -> list[Attempt]:
        columns = self._database.tables.attempt.c.keys()
        found = (dict(zip(columns, row, strict=True)) for row in self._rows(self._sql.attempts, {"id": task_id}))
        return [Attempt(**values | {"cause": Cause(values["cause"])}) for values in found]

    def children(self, task_id: str) -> list[Entry]:
        return [entry_of(row, LISTED) for row in self._rows(self._sql.children, {"parent": task_id})]

    def unrelayed(self, *, before: int, queue: str, limit: int, due: int | None) -> list[Entry]:
        wanted = {"before": before, "queue": queue, "limit": limit}
        found = [
            *self._rows(self._sql.unrelayed, wanted),
            *self._rows(self._sql.unrelayed_due, wanted | {"due": NEVER if due is None else due}),
        ]
        return sorted((entry_of(row, Entry.__struct_fields__) for row in found), key=lambda entry: entry.id)[:limit]

    def turns(self, ids: Sequence[str], *, now: int) -> dict[str, str]:
        return dict(self._rows(self._sql.turns, {"ids": list(ids), "now": now}))

    def keyed(self, queue: str, key: str) -> str | None:
        found = self._rows(self._sql.keyed, {"queue": queue, "key": key})
        return str(found[0][0]) if found else None

    def unheard_of(self, *, before: int, queue: str, limit: int) -> list[Entry]:
        wanted = {"before": before, "below": earliest(before), "queue": queue, "limit": limit}
        return [entry_of(row, Entry.__struct_fields__) for row in self._rows(self._sql.unheard_of, wanted)]

    def page(self, query: Query) -> Page:
        with self._database.read(patient=True) as connection:
            found = connection.execute(searching.page(query, self._database.tables.entry, self._database.dialect)).all()
        entries = tuple(entry_of(row, LISTED) for row in found[: query.limit])
        return Page(entries, query.cursor(entries[-1]) if len(found) > query.limit else None)

    def stats(self, owner: str | None) -> dict[str, dict[Status, int]]:
        statement = self._sql.counts if owner is None else self._sql.counts_of_owner
        found: defaultdict[str, dict[Status, int]] = defaultdict(dict)
        with self._database.read(patient=True) as connection:
            counted = connection.execute(statement, {"owner": owner} if owner is not None else None).all()
        for queue, status, n in counted:
            if n:
                found[queue][Status(int(status))] = int(n)
        return dict(found)

    def with_open_children(self, ids: Sequence[str]) -> set[str]:
        return {i for (i,) in self._rows(self._sql.with_open_children, {"ids": ids})}

    def child_counts(self, parent_id: str) -> dict[Status, int]:
        return {STATUSES[status]: n for status, n in self._rows(self._sql.child_counts, {"parent": parent_id})}

    def child_ids(self, parent_id: str, statuses: Sequence[Status], limit: int) -> list[str]:
        wanted = {"parent": parent_id, "statuses": [int(s) for s in statuses], "limit": limit}
        return [i for (i,) in self._rows(self._sql.child_ids, wanted)]

    def awaits_message(self, parents: Sequence[str], *, after: int) -> bool:
        return bool(self._rows(self._sql.awaits_message, {"ids": parents, "after": after}))

    def lively_children(self, parents: Sequence[str]) -> list[str]:
        return [i for (i,) in self._rows(self._sql.lively_children, {"ids": parents})]

    def parents_among_children(self, parent_id: str) -> list[str]:
        return [i for (i,) in self._rows(self._sql.parents_among_children, {"parent": parent_id})]

    def ended(self, status: Status, *, after: str, below: str, limit: int) -> list[Head]:
        wanted = {"status": int(status), "after": after, "below": below, "limit": limit}
        return [head_of(row) for row in self._rows(self._sql.ended, wanted)]

    def close(self) -> None:
        self._database.close()

    def _rows(self, statement: sa.Executable, parameters: Mapping[str, Any]) -> Sequence[Any]:
        return self._database.rows(statement, parameters)
