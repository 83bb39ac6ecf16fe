"""The page Tasks: searching, and what is done to many."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from taskqueue.errors import BrokerUnavailable, UnknownEntry
from taskqueue.ids import is_id
from taskqueue.status import Status
from taskqueue.web.pages.listing import listing_of
from taskqueue.web.pages.searching import Said
from taskqueue.web.pages.visit import Visit


class Chip(msgspec.Struct, frozen=True):
    """A status that can be chosen."""

    value: str
    name: str
    on: bool


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """The search form, as it was filled in. `here` is the address of this very list."""

    said: Said
    statuses: list[Chip]
    queues: list[str]
    sort: str
    order: str
    here: str


def tasks(visit: Visit) -> Response:
    """The list; whoever gives a whole id is led to its task."""
    said = Said.of(visit.request.query_params)
    form = Form(
        said=said,
        statuses=[Chip(one.label, one.label.replace("_", " "), one.label in said.status) for one in Status],
        queues=list(visit.app.settings.queues),
        sort=said.sort,
        order=said.order,
        here=visit.link("/tasks", **said.query()),
    )
    # A page further on, or a text that is searched for, stands still while it is read.
    live = "" if said.after or said.text else "samples"
    try:
        if is_id(said.id) and _is_there(visit, said.id):
            return visit.go(f"/tasks/{said.id}")
        listing = listing_of(visit, said)
    except BrokerUnavailable as error:
        return visit.away("tasks.html", "/tasks", error, form=form)
    shown = visit.show("tasks.html", section="/tasks", live=live, form=form, listing=listing)
    if visit.partial:
        shown.headers["HX-Push-Url" if visit.from_form else "HX-Replace-Url"] = form.here
    return shown


def _is_there(visit: Visit, task_id: str) -> bool:
    try:
        visit.task_log.status(task_id)
    except UnknownEntry:
        return False
    return True
