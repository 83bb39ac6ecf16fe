"""A worker: the task thread's loop, with the lifeline beside it.

    take -> run -> done, until the inbox is closed

Everything else (leases, reports, signals, limits) is the lifeline's.
"""

from __future__ import annotations

import logging
import os
import sys

from taskqueue.errors import EXIT_FAILED, BrokerUnavailable, TaskQueueError
from taskqueue.hooks import HOOKS
from taskqueue.worker.crew import Crew
from taskqueue.worker.forked import end_child
from taskqueue.worker.inbox import Inbox, Work
from taskqueue.worker.lastlines import keeping
from taskqueue.worker.leaving import Leaving, Limits
from taskqueue.worker.lifeline import Lifeline
from taskqueue.worker.run import Run, Spawn
from taskqueue.worker.runner import Runner
from taskqueue.worker.scorecard import State

log = logging.getLogger(__name__)

#: the interpreter's thread switch, in seconds: the lifeline must not wait 5 ms for each answer of its store while
#: short tasks hold the interpreter
SWITCH = 0.001
#: a task thread that waits gives a sign of life every few seconds, so much ahead; a lifeline that has not made a step
#: for so long is none (a store may keep it for a while)
AHEAD, LIFELESS = 15.0, 300.0


class Worker:
    """Leases tasks of its queues, runs them one after the other, reports."""

    def __init__(self, crew: Crew, limits: Limits, *, spawn: Spawn) -> None:
        self._crew = crew
        self._spawn = spawn
        self._inbox = Inbox(crew.clock, crew.orders.poke)
        self._leaving = Leaving(crew.orders, crew.clock, crew.watch, limits, crew.stations)
        self._leaving.before_exit = lambda: crew.note(leaving=True)
        self._leaving.heard = lambda: crew.note(paused=crew.orders.paused_here)
        self._inbox.quota = self._leaving.quota
        self._runner = Runner(crew.clock, self._context_of, interrupter=crew.interrupter, random=crew.random)

    @property
    def taken(self) -> int:
        """How many tasks it has started."""
        return self._inbox.taken

    def run(self, *, ending: bool = False) -> int:
        """Work until told to stop, or through; the exit code (0, 75 to be recycled, 1 if something broke).

        `ending`: the process ends with it.
        """
        crew = self._crew
        crew.orders.install()
        crew.interrupter.install()
        sys.setswitchinterval(SWITCH)
        lifeline = Lifeline(crew, self._inbox, self._leaving, joined=self._join())
        try:
            HOOKS.started()
            self._give_signs_of_life(lifeline)
            lifeline.start()
            try:
                with keeping(lambda: self._inbox.current, room=crew.place.lines if crew.place else None):
                    self._work()
            except BaseException:
                self._leaving.leave()
                raise
            finally:
                crew.note(state=State.STOPPING, deadline=0.0)
                crew.orders.poke()
                lifeline.join()
            HOOKS.stopped()
        finally:
            lifeline.leave()
            self._runner.close()
            crew.orders.restore(ending=ending)
        if lifeline.failure is not None:
            return lifeline.failure.exit_code if isinstance(lifeline.failure, TaskQueueError) else EXIT_FAILED
        return self._leaving.exit_code

    def _join(self) -> bool:
        """Join the crew. Under a master a store that is away is no reason to give up: the lifeline goes on trying."""
        try:
            self._crew.join()
        except BrokerUnavailable:
            if self._crew.place is None:
                raise
            return False
        return True

    def _give_signs_of_life(self, lifeline: Lifeline) -> None:
        if self._crew.place is None:
            return

        def beat() -> None:
            now = self._crew.clock.monotonic()
            if now < lifeline.stepped_at + LIFELESS:
                state = State.PAUSED if self._inbox.paused else State.IDLE
                self._crew.note(state=state, task_id="", task_name="", deadline=now + AHEAD)

        self._inbox.beat = beat
        beat()
        self._crew.place.ring()

    def _work(self) -> None:
        pid = os.getpid()
        while (work := self._inbox.take()) is not None:
            self._begin(work)
            outcome = self._runner.run(work)
            if os.getpid() != pid:
                end_child(None)  # forked in a hook: a child's task itself never comes back
            self._inbox.done(work, outcome)
            self._crew.note(state=State.IDLE, task_id="", task_name="", deadline=0.0, done=self.taken)
            if work.queue.limits.commit_each:
                self._inbox.flushed()

    def _begin(self, work: Work) -> None:
        claim = work.held.claim
        self._crew.note(
            state=State.RUNNING,
            task_id=work.id,
            task_name=work.name,
            fence=claim.fence,
            attempt=claim.attempts + 1,
            since=work.started,
            deadline=work.started + work.timeout if work.timeout else 0.0,
        )

    def _context_of(self, work: Work) -> Run:
        return Run(work, worker=self._crew.slot, spawn=self._spawn, stopping=lambda: self._leaving.told)
