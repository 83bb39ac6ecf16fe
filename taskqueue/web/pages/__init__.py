"""The dashboard: pages for people, drawn by the server and kept up to date in parts.

A page is a template with a part that changes (`block page`). The browser asks for that part again when the server says
that something happened (`/api/v1/events`), and htmx morphs the new one into the old: what is focused, unfolded or
selected stays so. What a page does when asked again is its `live` (`static/dashboard.js`). Without a script, links and
forms do the same by whole pages.

    visiting, visit   from a request to the page that answers it
    rendering         templates; everything is escaped
    board, rates      what Overview and Fleet know, read once a second for all who look
    overview, tasks, task, many, fleet, health, login   the pages
"""

from __future__ import annotations

from typing import get_args

from starlette.routing import BaseRoute, Mount, Route

from taskqueue.operations.tasks import Action
from taskqueue.web.hub import Hub
from taskqueue.web.pages import fleet, health, login, many, overview, task, tasks
from taskqueue.web.pages.board import Board
from taskqueue.web.pages.files import Files
from taskqueue.web.pages.visiting import Endpoint, First, Page, visited

POST = ["POST"]


def routes(hub: Hub) -> list[BaseRoute]:
    """All pages and what they are made of."""
    board = Board(hub.app)

    def page(view: Page, **first: First) -> Endpoint:
        return visited(hub, board, view, **first)

    return [
        Route("/", page(overview.overview)),
        Route("/tasks", page(tasks.tasks)),
        Route("/tasks/change", page(many.change), methods=POST),
        Route("/tasks/{id}", page(task.task, first=task.news)),
        *(Route(f"/tasks/{{id}}/{one}", page(task.change(one)), methods=POST) for one in get_args(Action)),
        Route("/changes/{id}", page(many.operation)),
        Route("/changes/{id}/stop", page(many.stop), methods=POST),
        Route("/fleet", page(fleet.fleet)),
        Route("/fleet/orders", page(fleet.order), methods=POST),
        Route("/fleet/queues/pause", page(fleet.queue_pause), methods=POST),
        Route("/fleet/queues/resume", page(fleet.queue_resume), methods=POST),
        Route("/health", page(health.health)),
        Route("/login", login.login(hub), methods=["GET", *POST]),
        Route("/logout", login.logout, methods=POST),
        Mount("/static", Files()),
    ]
