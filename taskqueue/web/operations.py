"""Many tasks at once over HTTP: a change of them is a resource, which shows how far it is, and can be stopped."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from taskqueue.operations import tasks
from taskqueue.operations.tasks import Action, Outcome
from taskqueue.operations.times import rfc3339
from taskqueue.status import ENDED, OPEN, Status
from taskqueue.tasklog.entry import Filter, Op, Search
from taskqueue.tasklog.reading import Which
from taskqueue.web.desk import Desk
from taskqueue.web.problems import Problem
from taskqueue.web.search import Conditions
from taskqueue.web.values import Time
from taskqueue.web.works import State, Work

#: which are meant where no status is said
MEANT: dict[Action, tuple[Status, ...]] = {
    "cancel": OPEN,
    "archive": tuple(status for status in ENDED if status is not Status.ARCHIVED),
    "retry": (Status.FAILED,),
}


class NewOperation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do, and to which: `ids`, or all that a `search` finds.

    A search that says no status means: of a cancel what is open, of an archive what has ended, of a retry what failed.
    """

    action: Action
    ids: Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(min_length=1, max_length=10_000)] | None = None
    search: Conditions | None = None
    #: of a cancel: end running tasks' claims at once
    force: bool = False


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is. `total` null: only going through them tells. `outcomes`: how many had which."""

    id: str
    action: Action
    state: State
    done: int
    total: int | None
    outcomes: dict[Outcome, int]
    error: str
    by: str
    created_at: Time | None
    ended_at: Time | None


def index(desk: Desk) -> list[Operation]:
    """Those that run, and the last that have ended, the newest first."""
    return [_plain(work) for work in desk.works.seen_by(desk.caller)]


def begin(desk: Desk, body: NewOperation) -> Operation:
    """Cancel, archive or retry many tasks. It goes on by itself; look at it, or DELETE it to stop it."""
    which = _which(body)
    batches = tasks.changes(desk.app, desk.log, body.action, which, force=body.force)
    work = Work(
        body.action,
        lambda: next(batches, None),
        desk.caller,
        total=len(set(which)) if isinstance(which, list) else _total(desk, body),
        clock=desk.app.clock,
    )
    desk.works.begin(work)
    return _plain(work)


def get(desk: Desk, operation_id: str) -> Operation:
    """How far it is."""
    return _plain(desk.works.get(operation_id, desk.caller))


def stop(desk: Desk, operation_id: str) -> Operation:
    """Stop it after the present batch. What was done stays done."""
    work = desk.works.get(operation_id, desk.caller)
    work.stop()
    return _plain(work)


def _which(body: NewOperation) -> Which:
    if (body.ids is None) is (body.search is None):
        raise Problem(422, 'body: say which tasks: either "ids" or "search"; "search": {} means all')
    if body.ids is not None:
        return body.ids
    assert body.search is not None
    filters = body.search.filters()
    if not body.search.status:
        filters += (Filter("status", Op.IN, MEANT[body.action]),)
    return Search(filters=filters)


def _total(desk: Desk, body: NewOperation) -> int | None:
    """How many there are, where the counts by queue and status tell it."""
    search = body.search
    assert search is not None
    if "*" in search.queue or msgspec.structs.replace(search, status=[], queue="") != Conditions():
        return None
    wanted = search.statuses() or MEANT[body.action]
    counts = desk.log.stats()
    return sum(n for name, by in counts.items() if search.queue in ("", name) for s, n in by.items() if s in wanted)


def _plain(work: Work) -> Operation:
    return Operation(
        id=work.id,
        action=work.action,
        state=work.state,
        done=work.outcomes.total(),
        total=work.total,
        outcomes=dict(work.outcomes),
        error=work.error,
        by=work.caller.name,
        created_at=rfc3339(work.created_at),
        ended_at=rfc3339(work.ended_at),
    )
