"""What is done to many tasks at once: asked about first, then shown as it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast, get_args
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams
from starlette.responses import Response

from taskqueue.errors import InvalidArguments
from taskqueue.operations.tasks import Action, Outcome
from taskqueue.operations.words import count
from taskqueue.status import Status
from taskqueue.tasklog.entry import MAX_PAGE, Filter, Op
from taskqueue.web import operations
from taskqueue.web.operations import MEANT, NewOperation, Operation
from taskqueue.web.pages.searching import Said, conditions_of
from taskqueue.web.pages.visit import Visit
from taskqueue.web.tokens import Right

_VERBS: dict[Action, str] = {"retry": "Retry", "cancel": "Cancel", "archive": "Archive"}
_EFFECTS: dict[Action, str] = {
    "retry": "Each that has ended is enqueued once more, as a new task.",
    "cancel": "What has not started never will; what runs is asked to stop.",
    "archive": "Each that has ended is put away, and leaves the lists.",
}
_STATES = {"running": "Going on.", "stopping": "Stopping.", "done": "Done.", "stopped": "Stopped.", "failed": "Failed."}
_OUTCOMES = {
    Outcome.TOO_LATE: "had ended already",
    Outcome.REQUESTED: "asked to stop",
    Outcome.OPEN: "not ended yet, left alone",
    Outcome.MISSING: "not there any more",
    Outcome.RETRIED: "enqueued once more",
}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A change of many tasks, as its page shows it."""

    title: str
    running: bool
    state: str
    text: str
    share: float | None
    counts: list[tuple[str, int]]
    error: str
    stop: str
    back: str


def change(visit: Visit) -> Response:
    """Say first how many tasks it is about; once that was confirmed, begin."""
    visit.caller.must(Right.CHANGE_TASKS)
    action = _action(visit)
    said = Said.of(QueryParams(visit.form.get("search", "")))
    ids = [] if visit.form.get("all") == "yes" else [value for name, value in visit.fields if name == "id"]
    if not ids and visit.form.get("all") != "yes":
        raise InvalidArguments("no task is selected; tick some, or all that the search finds")
    if visit.form.get("sure") == "yes":
        return _begin(visit, action, ids, said)
    return _ask(visit, action, ids, said)


def operation(visit: Visit) -> Response:
    """How far it is."""
    found = operations.get(visit.desk, visit.path("id"))
    running = found.ended_at is None
    here = visit.link(f"/changes/{found.id}")
    back = visit.request.query_params.get("back", "")
    shown = _shown(found, back=visit.link("/tasks", **Said.of(QueryParams(back)).query()))
    if back:
        here += f"?{urlencode({'back': back})}"
    return visit.show("operation.html", section="/tasks", live="poll" if running else "", operation=shown, here=here)


def stop(visit: Visit) -> Response:
    """End it after the present batch."""
    visit.caller.must(Right.CHANGE_TASKS)
    found = operations.stop(visit.desk, visit.path("id"))
    return visit.done("It stops.", f"/changes/{found.id}")


def _action(visit: Visit) -> Action:
    action = visit.form.get("action", "")
    if action not in get_args(Action):
        raise InvalidArguments(f"{action[:80]!r} is nothing that can be done; known: {', '.join(get_args(Action))}")
    return cast("Action", action)


def _begin(visit: Visit, action: Action, ids: Sequence[str], said: Said) -> Response:
    wanted = {"ids": list(ids)} if ids else {"search": conditions_of(said, visit.app.clock)}
    made = operations.begin(visit.desk, NewOperation(action=action, **wanted))
    back = urlencode(said.query(after="", id=""), doseq=True)
    return visit.go(f"/changes/{made.id}", back=back)


def _ask(visit: Visit, action: Action, ids: Sequence[str], said: Said) -> Response:
    tasks = count(len(ids), "task") if ids else _how_many(visit, action, said)
    words: dict[str, Any] = {
        "title": f"{_VERBS[action]} {tasks}?",
        "text": _EFFECTS[action],
        "yes": f"{_VERBS[action]} {tasks}",
        "fields": [("action", action), *_repeated(visit)],
    }
    if not ids and tasks.startswith("0 "):
        words |= {
            "title": "No task to do that to",
            "text": "What this search finds has nothing of that kind.",
            "yes": "",
        }
    return visit.plain("confirm.html" if visit.partial else "confirm_page.html", **words)


def _repeated(visit: Visit) -> list[tuple[str, str]]:
    return [(name, value) for name, value in visit.fields if name in ("id", "all", "search")]


def _how_many(visit: Visit, action: Action, said: Said) -> str:
    """Counted up to a page's length: nobody waits for a million to be counted."""
    asked = conditions_of(said, visit.app.clock)
    filters = asked.filters()
    if not asked.status:
        filters += (Filter("status", Op.IN, [Status(one) for one in MEANT[action]]),)
    page = visit.task_log.search(*filters, limit=MAX_PAGE)
    return f"{MAX_PAGE:,} tasks and more" if page.next else count(len(page.entries), "task")


def _shown(found: Operation, *, back: str) -> Shown:
    of = "" if found.total is None else f" of {found.total:,}"
    share = 100.0 if found.ended_at and found.state == "done" else None
    if share is None and found.total:
        share = min(100.0, 100 * found.done / found.total)
    began = datetime.fromisoformat(found.created_at) if found.created_at else datetime.now(UTC)
    return Shown(
        title=f"{_VERBS[found.action]} many tasks",
        running=found.ended_at is None,
        state=_STATES[found.state],
        text=f"{found.done:,}{of} dealt with, since {began.astimezone():%H:%M:%S}, said by {found.by}.",
        share=share,
        counts=[(_OUTCOMES.get(outcome, outcome.value), n) for outcome, n in found.outcomes.items()],
        error=found.error,
        stop=f"/changes/{found.id}/stop",
        back=back,
    )
