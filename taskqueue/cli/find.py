"""Ids as people give them: whole, or a part that only one recent task has."""

from __future__ import annotations

import re

from taskqueue.errors import TaskQueueError, UnknownEntry
from taskqueue.ids import is_id
from taskqueue.tasklog.entry import MAX_PAGE
from taskqueue.tasklog.reading import TaskLog

SHORTEST, NEWEST = 6, 10_000
_PART = re.compile(r"[0-9a-f-]+")


def find(task_log: TaskLog, given: str) -> str:
    """The id that was given, in full or by any part of six characters that is unique among the newest 10,000.

    Raises UnknownEntry, and TaskQueueError where the part fits several.
    """
    part = given.strip().lower()
    if is_id(part):
        return task_log.get(part).id
    if not _PART.fullmatch(part):
        raise UnknownEntry(f"{given!r} is not what task ids look like; `taskqueue log list` shows them")
    if len(part) < SHORTEST:
        raise UnknownEntry(f"{given!r} is too short: give the id, or {SHORTEST} characters or more of it")
    found = [task_id for task_id in _newest(task_log) if part in task_id]
    if not found:
        raise UnknownEntry(f"none of the newest {NEWEST:,} tasks has {given!r} in its id; give the whole id")
    if len(found) > 1:
        raise TaskQueueError(f"{given!r} is part of {len(found)} ids, e.g. {found[0]} and {found[1]}; give more of it")
    return found[0]


def _newest(task_log: TaskLog) -> list[str]:
    ids: list[str] = []
    page = task_log.search(limit=MAX_PAGE)
    ids.extend(entry.id for entry in page.entries)
    while page.next is not None and len(ids) < NEWEST:
        page = task_log.search(limit=MAX_PAGE, after=page.next)
        ids.extend(entry.id for entry in page.entries)
    return ids
