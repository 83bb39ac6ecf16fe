"""Between rows of a database and entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from taskqueue.status import Status
from taskqueue.tasklog.entry import Entry
from taskqueue.tasklog.store import Head

STATUSES = tuple(Status)
#: columns in which enums and flags are integers
FLAGS = ("master_status", "has_children", "cancel_requested", "alone")
NUMBERS = ("status", *FLAGS, "archived_from")


def as_row(entry: Entry) -> dict[str, Any]:
    """An entry as a row."""
    return plain(msgspec.structs.asdict(entry))


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Enums and flags as the integers that every driver takes."""
    numbers = {column: int(values[column]) for column in NUMBERS if values.get(column) is not None}
    return {**values, **numbers}


def head_of(row: Sequence[Any]) -> Head:
    """A row of the columns of `Head`."""
    i, queue, status, fence, attempts, crashes, parent, master, has_children, cancel, alone, *rest = row
    return Head(
        i,
        queue,
        STATUSES[status],
        fence,
        attempts,
        crashes,
        parent,
        bool(master),
        bool(has_children),
        bool(cancel),
        bool(alone),
        *rest,
    )


def entry_of(row: Sequence[Any], fields: Sequence[str]) -> Entry:
    """A row of these fields' columns."""
    values = dict(zip(fields, row, strict=True))
    values["status"] = STATUSES[values["status"]]
    if values["archived_from"] is not None:
        values["archived_from"] = STATUSES[values["archived_from"]]
    for flag in FLAGS:
        values[flag] = bool(values[flag])
    return Entry(**values)
