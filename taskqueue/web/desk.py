"""What an endpoint works with: the application, who asks, and what this one may see."""

from __future__ import annotations

import msgspec

from taskqueue.app import App
from taskqueue.errors import UnknownEntry
from taskqueue.ids import is_id
from taskqueue.tasklog.entry import Entry
from taskqueue.tasklog.reading import TaskLog
from taskqueue.web.sampler import Sampler
from taskqueue.web.threads import Threads
from taskqueue.web.tokens import Caller
from taskqueue.web.watching import Watching
from taskqueue.web.works import Works


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """One request's view. `log` shows a user what is theirs; `known` are the ETags that whoever asks has already."""

    app: App
    caller: Caller
    threads: Threads
    watching: Watching
    sampler: Sampler
    works: Works
    known: frozenset[str] = frozenset()

    @property
    def log(self) -> TaskLog:
        """The task log, as the caller may see it."""
        whole = self.app.task_log
        return whole if self.caller.owner is None else whole.for_owner(self.caller.owner)

    @property
    def by(self) -> str:
        """Who it was, for people who look at a pause."""
        return f"{self.caller.name} (web)"

    def entry(self, task_id: str) -> Entry:
        """The entry of that id. Raises UnknownEntry for what is not there, or another owner's."""
        if not is_id(task_id):
            raise UnknownEntry(f"no task {task_id[:100]!r}: this is not what task ids look like")
        return self.log.get(task_id)
