"""Forgetting what ended long ago, in small transactions, whole ended trees only.

Ids are ordered by time, so the walk begins at the oldest entry of a status and ends at the first one that was made
after the cut; what is younger is never read. Nothing is locked while it looks.
"""

from __future__ import annotations

from collections.abc import Iterator

from taskqueue.ids import earliest
from taskqueue.status import ENDED, Status
from taskqueue.tasklog.store import EntryStore, Head


def purge(store: EntryStore, *, status: Status, before: int, limit: int) -> Iterator[int]:
    """Delete what ended in that status before that time; after each transaction, how many it deleted.

    A tree goes if its root is due and nothing in it is open, whatever the ages below the root; and no message of it
    is still to come.
    """
    after, below = "", earliest(before)
    while window := store.ended(status, after=after, below=below, limit=limit):
        after = window[-1].id
        roots = _due_roots(store, window, before)
        if leaves := [root.id for root in roots if not root.has_children]:
            yield store.delete(leaves)
        for root in roots:
            if root.has_children:
                yield from _purge_tree(store, root.id, before, limit)


def _due_roots(store: EntryStore, window: list[Head], before: int) -> list[Head]:
    parents = store.statuses(sorted({head.parent_id for head in window if head.parent_id is not None}))
    return [head for head in window if head.parent_id not in parents and _is_due(head, before)]


def _is_due(head: Head, before: int) -> bool:
    # The message of a task that was cancelled during its delay is there until then. If it found no entry, it would be
    # taken for one from somewhere else, and run (P12).
    return head.finished_at is not None and max(head.finished_at, head.due_at or 0) < before


def _purge_tree(store: EntryStore, root: str, before: int, limit: int) -> Iterator[int]:
    nodes = [root]
    for node in nodes:
        if store.with_open_children([node]) or store.awaits_message([node], after=before):
            return
        nodes.extend(store.parents_among_children(node))
    # From the bottom up, so that what is cut short leaves a smaller tree and no orphans.
    for node in reversed(nodes):
        while ids := store.child_ids(node, ENDED, limit):
            yield store.delete(ids)
    yield store.delete([root])
