"""What happens in the demo: start, look, kill a worker at work, pause, add a worker, go on, stop.

Each step waits for what it shows, while the workers go on; none is shown where all was done before.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from taskqueue.app import App
from taskqueue.demo.files import Tree, shown
from taskqueue.demo.fleet import Fleet, Seen, Slot
from taskqueue.demo.screen import Screen
from taskqueue.demo.tasks import survey
from taskqueue.demo.words import count
from taskqueue.errors import TaskQueueError
from taskqueue.handle import Handle

#: seconds between two looks; that the pause lasts at least; that a step may take
TICK, PAUSE, LIMIT = 0.05, 1.0, 60.0
#: parts of the files after which `status` is shown, a worker is killed, all are paused
EARLY, KILL, REST = 0.1, 0.25, 0.5


class Told(msgspec.Struct):
    """What happened. Times are microseconds since 1970."""

    parent: str = ""
    killed: Slot | None = None
    #: seconds from the kill until the task ran again
    ran_again_after: float | None = None
    #: from when until when no worker started a task
    paused: tuple[int, int] | None = None
    exit_code: int = 0


class Orders:
    """Whether somebody wants an end."""

    def __init__(self) -> None:
        self._told = False

    def note(self, *_: object) -> None:
        """A signal's handler."""
        self._told = True

    def obey(self) -> None:
        """Raise KeyboardInterrupt if a signal came."""
        if self._told:
            raise KeyboardInterrupt


class _AllDone(Exception):
    """The parent ended before a step was complete."""


class Story:
    """The story of a tree's files."""

    def __init__(self, app: App, fleet: Fleet, screen: Screen, *, tree: Tree, files: list[str]) -> None:
        self._app = app
        self._fleet = fleet
        self._screen = screen
        self._tree = tree
        self._files = files
        self._told = Told()
        self._restarts = 0

    def tell(self, workers: int, *, configure: Callable[[int], None], orders: Orders) -> Told:
        """All of it, with so many workers; `configure` writes another number of them into the file."""
        self._orders, self._configure, self._workers = orders, configure, workers
        self._parent = self._enqueue()
        self._told.parent = self._parent.id
        self._start()
        try:
            for part, step in ((EARLY, self._show_status), (KILL, self._kill), (REST, self._rest)):
                self._work_until(part)
                step()
        except _AllDone:
            self._screen.line("  All was done before the whole story could be told: a larger folder shows more.")
        self._to_the_end()
        self._stop()
        return self._told

    # Steps

    def _enqueue(self) -> Handle[Any]:
        tree, folder = self._tree, shown(self._tree.folder)
        return self._app.dispatcher.enqueue(survey, folder, tree.suffix, list(map(shown, tree.skip)))

    def _start(self) -> None:
        began = self._now()
        self._fleet.start()
        self._until(lambda: self._fleet.look().ready(self._workers))
        took = self._seconds_since(began)
        who = f"the supervisor (pid {self._fleet.pid}) has {count(self._workers, 'worker')} and a keeper ready"
        self._screen.event(f"{who} after {took:.1f} s")

    def _show_status(self) -> None:
        self._screen.typed("supervisor status", self._fleet.status(self._screen.width))

    def _kill(self) -> None:
        while (slot := self._fleet.kill_at_work()) is None:
            self._turn()
        killed_at = self._now()
        self._told.killed = slot
        self._restarts += 1
        task = self._app.task_log_broker.get(slot.task_id)
        name = (task and task.label) or slot.task_id
        self._screen.event(f"kill -KILL: {slot} died in the middle of {name}", good=False)
        self._until(lambda: _successor(self._fleet.look(), slot) is not None)
        successor = _successor(self._fleet.look(), slot)
        self._screen.event(f"{successor} took its place, ready {self._seconds_since(killed_at):.1f} s after the kill")
        self._until(lambda: self._ran_again(slot.task_id, killed_at))

    def _ran_again(self, task_id: str, killed_at: int) -> bool:
        entry = self._app.task_log_broker.get(task_id)
        if entry is None or entry.attempts < 2 or entry.started_at is None:
            return False
        first = self._app.dispatcher.task_log.attempts(task_id)[0]
        free, again = ((moment - killed_at) / 1e6 for moment in (first.ended_at, entry.started_at))
        self._told.ran_again_after = again
        self._screen.event(
            f"its task was back in the queue {free:.1f} s after the kill, and ran again {again:.1f} s after"
        )
        self._screen.event(f"the task log has its first attempt: {first.cause.value}, {first.detail}")
        return True

    def _rest(self) -> None:
        self._fleet.signal(signal.SIGUSR2)
        self._until(self._is_quiet)
        began, done = self._now(), self._done()
        waiting = count(len(self._files) - done, "file")
        self._screen.event(f"kill -USR2: the fleet is paused at {done:,} files; {waiting} wait")
        self._reload()
        self._until(self._is_quiet)
        self._show_status()
        self._until(lambda: self._seconds_since(began) >= PAUSE)
        self._told.paused = began, self._now()
        rest, counted = self._seconds_since(began), self._done() - done
        said = "nothing was started" if not counted else f"{count(counted, 'file')} counted, which should not be,"
        self._fleet.signal(signal.SIGCONT)
        self._screen.event(f"kill -CONT: the fleet goes on; {said} for {rest:.1f} s", good=not counted)

    def _reload(self) -> None:
        wanted = self._workers + 1
        before = {slot.pid for slot in self._fleet.look().workers}
        self._configure(wanted)
        self._fleet.signal(signal.SIGHUP)
        self._until(lambda: self._fleet.look().ready(wanted))
        now = self._fleet.look().workers
        new = ", ".join(str(slot) for slot in now if slot.pid not in before)
        stayed = sum(slot.pid in before for slot in now)
        self._screen.event(f"workers = {wanted} in the file and kill -HUP: {new} came, the other {stayed} stayed")

    def _to_the_end(self) -> None:
        with suppress(_AllDone):
            while True:
                self._turn()
        self._look()

    def _stop(self) -> None:
        processes = sum(slot.pid is not None for slot in self._fleet.look().workers)
        self._told.exit_code = code = self._fleet.stop()
        left = f"the supervisor, its keeper and {count(processes, 'worker')} have left"
        self._screen.event(f"kill -TERM: {left}, exit code {code}", good=code == 0)

    # Looking

    def _work_until(self, part: float) -> None:
        """Look on until that part of the files is done. Raises _AllDone if all are."""
        while self._done() < max(1, round(len(self._files) * part)):
            self._turn()

    def _until(self, holds: Callable[[], bool]) -> None:
        """Look on until that holds, though all be done. Raises TaskQueueError if it takes too long."""
        began = self._now()
        while not holds():
            with suppress(_AllDone):
                self._turn()
            if self._seconds_since(began) > LIMIT:
                raise TaskQueueError(
                    f"the demo waited for more than {LIMIT:g} s; the last it saw: {self._fleet.look()}"
                )

    def _turn(self) -> None:
        """One look, and TICK seconds of waiting. Raises KeyboardInterrupt if somebody wants an end, or _AllDone."""
        self._orders.obey()
        self._look()
        if _ended(self._parent):
            raise _AllDone

    def _look(self) -> None:
        self._screen.progress(self._done())
        workers = self._fleet.look().workers
        if (restarts := sum(slot.restarts for slot in workers)) > self._restarts:
            self._restarts = restarts
            for slot in workers:
                if slot.note:
                    self._screen.event(f"{slot} is another process: the one before was {slot.note}", good=False)

    def _is_quiet(self) -> bool:
        """Twice: a worker that was between two tasks when the signal came may just begin one."""
        done = self._done()
        if not self._fleet.look().paused:
            return False
        _ended(self._parent)  # which takes a moment
        return self._fleet.look().paused and self._done() == done

    def _done(self) -> int:
        counts = self._app.task_log_broker.stats().get("default", {})
        return min(len(self._files), sum(n for status, n in counts.items() if status.ended))

    def _now(self) -> int:
        return self._app.clock.micros()

    def _seconds_since(self, moment: int) -> float:
        return (self._now() - moment) / 1e6


def _ended(parent: Handle[Any]) -> bool:
    """Whether all is done; looks for TICK seconds."""
    try:
        parent.wait(TICK)
    except TimeoutError:
        return False
    return True


def _successor(seen: Seen, dead: Slot) -> Slot | None:
    """Who is ready in its place."""
    others = (slot for slot in seen.workers if slot.name == dead.name and slot.pid != dead.pid)
    return next((slot for slot in others if slot.state == "up"), None)
