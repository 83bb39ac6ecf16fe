"""Entries of the task log, and what is said about them: claims, outcomes, searches, pages."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from taskqueue.message import DEFAULT_PRIORITY
from taskqueue.status import Status


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A task's row in the task log. Times are microseconds since 1970 UTC; `report` is its encoded JSON."""

    id: str
    name: str
    queue: str
    status: Status = Status.ENQUEUED
    priority: int = DEFAULT_PRIORITY
    label: str | None = None
    owner: str | None = None
    category: str | None = None
    parent_id: str | None = None
    #: the task's own report decides its status, whatever becomes of its children
    master_status: bool = False
    has_children: bool = False
    #: the entry that this one repeats (`log retry`)
    retry_of: str | None = None
    payload: bytes = b""
    report: bytes | None = None
    progress: bytes | None = None
    attempts: int = 0
    crashes: int = 0
    fence: int = 0
    worker: str | None = None
    #: which life of which worker claimed it last, as its broker names it (R2)
    incarnation: str | None = None
    cancel_requested: bool = False
    created_at: int
    #: not before (delay, eta, retry); None: at once
    due_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    #: when the message was handed to the broker; None: the keeper still has to (P1)
    relayed_at: int | None = None
    #: since when workers that do not know its name have had it in hand (P7)
    unknown_since: int | None = None
    #: tasks of a group run one after the other, in the order of their places, which the store gives
    group_name: str | None = None
    place: int | None = None
    #: no second task of the queue has the same one
    unique_key: str | None = None
    #: where the broker cannot keep that: to be leased singly (see `Delivery.alone`)
    alone: bool = False
    #: how it had ended before it was put away
    archived_from: Status | None = None


class Cause(enum.StrEnum):
    """Why an attempt did not end well."""

    ERROR = "error"
    RETRY = "retry"
    TIMEOUT = "timeout"
    CRASH = "crash"
    HOST_LOST = "host lost"
    LEASE_LOST = "lease lost"
    STOPPED = "stopped"
    UNKNOWN_TASK = "unknown task"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that did not end well.

    `detail` is one line for people; `report` is its encoded report, if any; `log` the last lines that it logged.
    """

    task_id: str
    fence: int
    attempt: int
    cause: Cause
    detail: str = ""
    worker: str | None = None
    started_at: int | None = None
    ended_at: int
    report: bytes | None = None
    log: str | None = None


class Claim(msgspec.Struct, frozen=True, gc=False):
    """The log's word that a delivery may run: the fence that guards all that its run will write."""

    id: str
    fence: int
    attempts: int
    crashes: int
    cancel_requested: bool
    has_children: bool
    unknown_since: int | None = None


class Refusal(enum.Enum):
    """Why a delivered message must not run."""

    #: cancelled, completed, ...: drop the message
    ENDED = "ended"
    #: another worker holds it: leave it alone
    HELD = "held"
    #: no entry of that id
    MISSING = "missing"
    #: it is not due yet: the message is an old one, or could not be delayed for so long
    EARLY = "early"
    #: it is not its turn in its group
    BEHIND = "behind"
    #: one of these two must be leased singly
    CROWDED = "crowded"


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one run: the entry's next status, and what is written with it.

    `status` ENQUEUED means that it runs again after `delay` seconds. `attempt` is stored beside the entry where the
    run did not end well. `attempts` and `crashes` are absolute values, so that a repeated write is harmless.
    """

    id: str
    fence: int
    status: Status
    queue: str
    attempts: int
    crashes: int = 0
    parent_id: str | None = None
    master_status: bool = False
    has_children: bool = False
    report: bytes | None = None
    started_at: int | None = None
    finished_at: int | None = None
    delay: float = 0.0
    unknown_since: int | None = None
    attempt: Attempt | None = None


class Op(enum.StrEnum):
    """Comparisons of a search."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    LIKE = "like"
    IN = "in"


class Filter(msgspec.Struct, frozen=True):
    """One condition of a search: `Filter("status", Op.EQ, Status.FAILED)`."""

    column: str
    op: Op
    value: Any


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for. `owner` set means: only this owner's entries, whatever the filters say.

    `after` is the `next` of the page before (opaque). `sort` is one of SORTS.
    """

    filters: tuple[Filter, ...] = ()
    owner: str | None = None
    sort: str = "created"
    descending: bool = True
    limit: int = 50
    after: str | None = None


class Page(msgspec.Struct, frozen=True):
    """One page of a search; `next` asks for the following one, None at the end."""

    entries: tuple[Entry, ...]
    next: str | None = None


class Cancellation(enum.StrEnum):
    """What a cancel did."""

    #: it had not started, and never will
    CANCELLED = "cancelled"
    #: a worker has it: it was asked to stop
    REQUESTED = "requested"
    #: it had ended already
    TOO_LATE = "too late"


#: columns a search may name, and the type of their values
COLUMNS: dict[str, type] = {
    "id": str,
    "name": str,
    "queue": str,
    "status": Status,
    "priority": int,
    "label": str,
    "owner": str,
    "category": str,
    "parent_id": str,
    "retry_of": str,
    "worker": str,
    "attempts": int,
    "crashes": int,
    "created_at": int,
    "started_at": int,
    "finished_at": int,
    "report": str,
}
#: sort orders, each behind an index: name -> column; ties are broken by id. By owner: only entries that have one
SORTS: dict[str, str] = {"created": "id", "status": "status", "owner": "owner", "name": "name"}
MAX_PAGE = 1000
