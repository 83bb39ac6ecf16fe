"""Tasks over HTTP: look for them, follow one, enqueue, cancel, archive, retry."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from taskqueue.errors import InvalidTransition, UnknownEntry
from taskqueue.operations import tasks as operations
from taskqueue.operations.facts import report_of
from taskqueue.operations.tasks import Action, Change, Outcome
from taskqueue.operations.why import why_of
from taskqueue.report import Report
from taskqueue.status import Status
from taskqueue.web.desk import Desk
from taskqueue.web.following import follow
from taskqueue.web.problems import Problem
from taskqueue.web.search import Moment, TaskSearch
from taskqueue.web.values import Attempt, Task, TaskLine, attempt_of, line_of, task_of

#: the longest that a request may wait, in seconds
LONGEST_WAIT = 60


class TaskPage(msgspec.Struct, frozen=True):
    """One page; `next` asks for the following one as `after`, null at the end."""

    tasks: list[TaskLine]
    next: str | None


class Waiting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many seconds to wait: until it has ended; with If-None-Match until it is another than that."""

    wait: Annotated[float, Meta(ge=0, le=LONGEST_WAIT)] = 0


class Reasons(msgspec.Struct, frozen=True):
    """Why a task stands where it stands, what matters most first."""

    id: str
    status: str
    why: list[str]


class Force(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`force` ends a running task's claim at once: what its worker still writes is refused."""

    force: bool = False


class NewTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task to enqueue: the name of a registered one, its parameters, and options that were not left out.

    Repeated with the same `id`, or `key`, nothing is enqueued twice. Times are RFC 3339, durations seconds.
    """

    name: str
    parameters: dict[str, Any] = {}
    id: Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] | None = None
    queue: str | None = None
    delay: Annotated[float, Meta(ge=0)] | None = None
    eta: Moment | None = None
    priority: Annotated[int, Meta(ge=0, le=9)] | None = None
    retries: Annotated[int, Meta(ge=0)] | None = None
    timeout: Annotated[float, Meta(ge=0)] | None = None
    owner: str | None = None
    label: str | None = None
    category: str | None = None
    group: str | None = None
    key: str | None = None

    def options(self) -> dict[str, Any]:
        """What was said of it."""
        said = msgspec.structs.asdict(self)
        return {name: said[name] for name in said if name not in ("name", "parameters") and said[name] is not None}


def search(desk: Desk, query: TaskSearch) -> TaskPage:
    """Look for tasks, the newest first, a page at a time."""
    page = desk.log.search(
        *query.filters(),
        sort=query.sort,
        descending=query.descending,
        limit=query.limit,
        after=query.after or None,
    )
    return TaskPage([line_of(entry) for entry in page.entries], page.next)


async def get(desk: Desk, task_id: str, query: Waiting) -> Task:
    """One task; with `wait` as soon as it has ended, or, with If-None-Match, as soon as it has changed."""
    return await follow(desk, task_id, within=query.wait)


def report(desk: Desk, task_id: str) -> Report:
    """What a task answered; 404 while it has not ended."""
    found = report_of(desk.entry(task_id).report)
    if found is None:
        raise Problem(404, f"task {task_id} has no report yet: GET /api/v1/tasks/{task_id}?wait=60 waits for its end")
    return found


def attempts(desk: Desk, task_id: str) -> list[Attempt]:
    """Its attempts that did not end well, oldest first, each with its cause."""
    return [attempt_of(one) for one in desk.log.attempts(desk.entry(task_id).id)]


def children(desk: Desk, task_id: str) -> list[TaskLine]:
    """The tasks that it has created, oldest first."""
    return [line_of(child) for child in desk.log.children(desk.entry(task_id).id)]


def why(desk: Desk, task_id: str) -> Reasons:
    """Why it does not run, or ended as it did, and what to do."""
    entry = desk.entry(task_id)
    return Reasons(entry.id, entry.status.label, why_of(desk.app, entry))


def stats(desk: Desk) -> dict[str, dict[str, int]]:
    """How many tasks there are, by queue and status."""
    counts = desk.log.stats()
    return {queue: {status.label: by.get(status, 0) for status in Status} for queue, by in sorted(counts.items())}


def enqueue(desk: Desk, body: NewTask) -> Task:
    """Enqueue a registered task, where `[web] enqueue` allows it. A user's tasks are the user's."""
    _may_enqueue(desk, body)
    options = body.options() | ({} if desk.caller.owner is None else {"owner": desk.caller.owner})
    made = operations.enqueue_registered(desk.app, body.name, body.parameters, options)
    try:
        return task_of(desk.app, desk.entry(made.id))
    except UnknownEntry:
        raise Problem(409, "this id or key belongs to another task: choose another") from None


def cancel(desk: Desk, task_id: str, body: Force) -> Change:
    """Cancel a task and the open ones below it: what has not started never will, what runs is asked to stop."""
    return _changed(desk, "cancel", task_id, force=body.force)


def archive(desk: Desk, task_id: str) -> Change:
    """Put an ended task away."""
    return _changed(desk, "archive", task_id)


def retry(desk: Desk, task_id: str) -> Task:
    """Enqueue an ended task once more; the new one, which names the old."""
    made = _changed(desk, "retry", task_id).made
    assert made is not None
    return task_of(desk.app, desk.entry(made))


def _changed(desk: Desk, action: Action, task_id: str, *, force: bool = False) -> Change:
    entry = desk.entry(task_id)
    (change,) = next(operations.changes(desk.app, desk.log, action, entry.id, force=force))
    if change.outcome in (Outcome.TOO_LATE, Outcome.OPEN):
        when = "has ended" if change.outcome is Outcome.TOO_LATE else "has not ended"
        raise InvalidTransition(f"task {task_id} {when}: it is {entry.status.label}, and there is nothing to {action}")
    return change


def _may_enqueue(desk: Desk, body: NewTask) -> None:
    allowed = desk.app.settings.web.enqueue
    if allowed is not True and (allowed is False or body.name not in allowed):
        raise Problem(403, f"task {body.name[:200]!r} may not be enqueued here: [web] enqueue says which may")
    owner = desk.caller.owner
    if owner is not None and body.owner not in (None, owner):
        raise Problem(403, f"{desk.caller.name} enqueues for owner {owner!r} alone")
