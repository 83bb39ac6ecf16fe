"""The page Task, which follows its task by itself; and what is done to this one."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from taskqueue.errors import BrokerUnavailable
from taskqueue.operations.tasks import Action, Outcome, changes
from taskqueue.status import Status
from taskqueue.web.pages.sheet import seen_of, sheet_of
from taskqueue.web.pages.visit import Visit
from taskqueue.web.tokens import Right
from taskqueue.web.watching import Mark

#: seconds after which a page that waits for news is drawn again anyway: ages, the queue ahead, children
WAITS, RUNS = 4.0, 1.0
_SAID = {
    Outcome.CANCELLED: "It is cancelled.",
    Outcome.REQUESTED: "It was asked to stop.",
    Outcome.TOO_LATE: "It had ended already.",
    Outcome.ARCHIVED: "It is put away.",
    Outcome.RETRIED: "It was enqueued once more, as a new task.",
    Outcome.OPEN: "It has not ended yet: nothing was done.",
    Outcome.MISSING: "It is not there any more.",
}


async def news(visit: Visit) -> None:
    """Wait until there is something that the visitor has not seen, or it is time to draw the page again."""
    seen = visit.request.query_params.get("seen", "")
    if not visit.partial or not seen:
        return
    entry = await visit.desk.threads.run(lambda: visit.desk.entry(visit.path("id")))
    if seen_of(entry) == seen and not entry.status.ended:
        within = WAITS if entry.status is Status.ENQUEUED else RUNS
        await visit.desk.watching.changed({entry.id: Mark.of(entry)}, within=within)


def task(visit: Visit) -> Response:
    """The page as it is now."""
    task_id = visit.path("id")
    try:
        sheet = sheet_of(visit.app, visit.task_log, visit.desk.entry(task_id).id)
    except BrokerUnavailable as error:
        return visit.away("task.html", "/tasks", error, sheet=None, seen="", here=visit.link(f"/tasks/{task_id}"))
    seen = seen_of(sheet.entry)
    return visit.show(
        "task.html",
        section="/tasks",
        live="" if sheet.ended else "follow",
        sheet=sheet,
        seen=seen,
        here=visit.link(f"/tasks/{sheet.entry.id}", seen=seen),
    )


def change(action: Action) -> Callable[[Visit], Response]:
    """Cancel, archive or retry a task."""

    def page(visit: Visit) -> Response:
        visit.caller.must(Right.CHANGE_TASKS)
        entry = visit.desk.entry(visit.path("id"))
        force = visit.form.get("force") == "yes"
        (done,) = next(changes(visit.app, visit.task_log, action, entry.id, force=force))
        if done.made is not None:
            return visit.go(f"/tasks/{done.made}")
        return visit.done(_SAID[done.outcome], f"/tasks/{entry.id}")

    return page
