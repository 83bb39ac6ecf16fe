"""Waiting for a task on behalf of whoever asked: until it has ended, or is no more what they know already."""

from __future__ import annotations

import asyncio
from functools import partial

from taskqueue.tasklog.entry import Entry
from taskqueue.web.answering import tag_of
from taskqueue.web.desk import Desk
from taskqueue.web.values import Task, task_of
from taskqueue.web.watching import Mark


async def follow(desk: Desk, task_id: str, *, within: float) -> Task:
    """The task, at once if there is something new to say, else as soon as there is, or after so many seconds.

    Raises UnknownEntry, BrokerUnavailable.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + within
    while True:
        entry, task = await desk.threads.run(partial(_look, desk, task_id))
        if _is_news(desk, entry, task):
            return task
        if not await desk.watching.changed({task_id: Mark.of(entry)}, within=until - loop.time()):
            return task


def _look(desk: Desk, task_id: str) -> tuple[Entry, Task]:
    entry = desk.entry(task_id)
    return entry, task_of(desk.app, entry)


def _is_news(desk: Desk, entry: Entry, task: Task) -> bool:
    """Who knows nothing of it waits for its end, others for anything that they do not know."""
    return tag_of(task) not in desk.known if desk.known else entry.status.ended
