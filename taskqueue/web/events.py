"""Server-sent events: what happens, as it happens. One look at the stores serves all who listen.

    event: fleet    data: a Sample          each second; for readers and operators
    event: task     data: a TaskLine        each of `task=ID` at once, and whenever it has changed
    event: gone     data: {"id": ID}        it was purged
    : beat                                  nothing happened for a while: proxies keep it open, and ends are noticed

A browser connects anew by itself when the stream ends, as it does when the server is restarted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import StreamingResponse

from taskqueue.errors import TaskQueueError, UnknownEntry
from taskqueue.tasklog.entry import MAX_PAGE, Filter, Op
from taskqueue.web.answering import encoded
from taskqueue.web.desk import Desk
from taskqueue.web.tokens import Right
from taskqueue.web.values import TaskLine, line_of
from taskqueue.web.watching import Mark, Marks

#: seconds of silence after which there is a beat
BEAT = 15.0
#: the first thing that is sent: how many milliseconds later a browser connects anew
BEGIN = b"retry: 2000\n\n"


class Listening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to listen to: tasks by their ids; without any, the fleet."""

    task: Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=1000)] = []


async def listen(desk: Desk, query: Listening) -> StreamingResponse:
    """A stream of events (text/event-stream): the fleet each second, or the tasks that are named, as they change."""
    if query.task:
        await desk.threads.run(lambda: _all_there(desk, query.task))
        events = _tasks(desk, query.task)
    else:
        desk.caller.must(Right.READ_FLEET)
        events = _fleet(desk)
    return StreamingResponse(_with_beats(events), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _all_there(desk: Desk, ids: Sequence[str]) -> None:
    """Raise UnknownEntry if one of them is not there for this caller."""
    found = _look(desk, ids)
    for task_id in ids:
        if task_id not in found:
            raise UnknownEntry(f"the task log has no entry {task_id[:100]!r}")


def event(name: str, value: Any) -> bytes:
    """One event as it is sent."""
    return b"event: " + name.encode() + b"\ndata: " + encoded(value) + b"\n\n"


async def _fleet(desk: Desk) -> AsyncIterator[bytes]:
    async for sample in desk.sampler.samples():
        yield event("fleet", sample)


async def _tasks(desk: Desk, ids: Sequence[str]) -> AsyncIterator[bytes]:
    """Each task now and whenever it is another; until none of them is left, or the server leaves."""
    marks: dict[str, Mark] = {}
    changed = set(ids)
    while changed and not desk.watching.closed:
        found = await desk.threads.run(partial(_look, desk, changed))
        for task_id in sorted(changed):
            if task_id in found:
                marks[task_id], line = found[task_id]
                yield event("task", line)
            else:
                marks.pop(task_id, None)
                yield event("gone", {"id": task_id})
        changed = await _changed(desk, marks)


async def _changed(desk: Desk, marks: Marks) -> set[str]:
    """Those that have changed, whenever that is. Empty: nothing is left to wait for."""
    while marks and not desk.watching.closed:
        with suppress(TaskQueueError):  # the store is away: whoever listens goes on listening (P15)
            if changed := await desk.watching.changed(marks, within=60):
                return changed
    return set()


def _look(desk: Desk, ids: Iterable[str]) -> dict[str, tuple[Mark, TaskLine]]:
    """What is there of these, for this caller."""
    page = desk.log.search(Filter("id", Op.IN, list(ids)), limit=MAX_PAGE)
    return {entry.id: (Mark.of(entry), line_of(entry)) for entry in page.entries}


async def _with_beats(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, with a beat where nothing comes for a while."""
    following: asyncio.Task[bytes] | None = None
    try:
        yield BEGIN
        while True:
            following = following or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([following], timeout=BEAT)
            if not done:
                yield b": beat\n\n"
                continue
            try:
                yield following.result()
            except StopAsyncIteration:
                return
            following = None
    finally:
        if following is not None:
            following.cancel()
