"""Random lives of tasks in broker and task log together, against the model of what is promised (P2, P4, P11, P12, P15).

Workers claim, start, stall, come back when their leases have ended, and are declared dead while they still work. What a
store answers and what it holds is at every step what the model says, and at the end nothing is left.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from taskqueue import codec
from taskqueue.errors import Deposed, LeaseLost
from taskqueue.filing import file_again
from taskqueue.ids import new_id
from taskqueue.message import Message
from taskqueue.queue import Finished, Held, Limits, Parent, Queue
from taskqueue.report import Report
from taskqueue.status import HELD, Status
from taskqueue.task.base import NamedTask
from taskqueue.tasklog.entry import Attempt, Cause, Entry, Filter, Op, Outcome, Search
from tests.support.model import MAX_CRASHES, Copy, Model, Task
from tests.support.task_logs import Story
from tests.support.worlds import WORLDS, World, world

LEASE = 60.0
LIMITS = Limits(lease=LEASE, max_crashes=MAX_CRASHES)
MOST = 12
queues = (f"q{number}" for number in itertools.count())
WHO, WHICH = st.integers(0, 3), st.integers(0, MOST - 1)
REPORTS = {
    Status.COMPLETED: codec.encode_report(Report.success("done")),
    Status.FAILED: codec.encode_report(Report.error("broken")),
    Status.CANCELLED: codec.encode_report(Report.info("cancelled")),
}


@dataclass
class Hand:
    """What a worker believes to hold. It is never told that its lease has ended, and finds out."""

    held: Held
    copy: Copy
    started: bool = False

    @property
    def id(self) -> str:
        return self.held.claim.id

    @property
    def fence(self) -> int:
        return self.held.claim.fence


@dataclass
class Worker:
    queue: Queue
    owner: str
    name: str
    hands: list[Hand] = field(default_factory=list)
    #: declared dead, and perhaps only stalled
    dead: bool = False

    def some(self, numbers: Sequence[int]) -> list[Hand]:
        """These of its tasks, each once, whichever claim of it."""
        picked = [self.hands[n % len(self.hands)] for n in numbers] if self.hands else []
        return list({hand.id: hand for hand in picked}.values())


class Lives(RuleBasedStateMachine):
    """Tasks are meant by number, in the order of their birth; workers too, the dead ones among them."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.name = next(queues)
        self.clock, self.log = self.world.clock, self.world.log
        self.model = Model()
        self.workers: list[Worker] = []
        self.keeper = self.world.queue(self.name, new_id(), LIMITS)
        #: the broker knows which messages it has, so that the model does
        self.exact = self.keeper.broker.capabilities.exact
        for _ in range(2):
            self._join()

    def _join(self) -> None:
        owner = new_id()
        self.workers.append(Worker(self.world.queue(self.name, owner, LIMITS), owner, f"w{len(self.workers)}"))

    def worker(self, number: int) -> Worker:
        return self.workers[number % len(self.workers)]

    def task(self, number: int) -> str | None:
        ids = list(self.model.tasks)
        return ids[number % len(ids)] if ids else None

    # Producers

    @rule(priorities=st.lists(st.integers(4, 6), min_size=1, max_size=3), delay=st.sampled_from([0, 0, 40]))
    def enqueue(self, priorities: list[int], delay: int) -> None:
        self._enqueue([self._entry(priority=p) for p in priorities], delay=delay)

    def _entry(self, **values: object) -> Entry:
        entry = Story(self.log, self.clock).entry(queue=self.name, **values)
        task = NamedTask("shop:mail", {})
        task.id = entry.id
        return Entry(**{f: getattr(entry, f) for f in Entry.__struct_fields__} | {"payload": codec.encode(task)})

    def _enqueue(self, entries: list[Entry], *, delay: float = 0, parent: Hand | None = None) -> None:
        if len(self.model.tasks) + len(entries) > MOST:
            return
        due = self.clock.now + int(delay * 1e6) if delay else None
        batch = [(e, Message(e.id, e.payload, e.priority, delay)) for e in entries]
        if due is not None:
            batch = [
                (Entry(**{f: getattr(e, f) for f in Entry.__struct_fields__} | {"due_at": due}), m) for e, m in batch
            ]
        if parent is not None and not self.model.holds(parent.id, parent.fence):
            with pytest.raises(LeaseLost, match="may not create children"):
                self.keeper.enqueue(batch, parent=Parent(parent.id, parent.fence))
            return
        made = self.keeper.enqueue(batch, parent=Parent(parent.id, parent.fence) if parent is not None else None)
        assert made == [e.id for e in entries]
        for entry in entries:
            self.model.add(Task(entry.id, entry.parent_id, due=due or 0))
            self._put(entry.id, priority=entry.priority, due=due)

    def _put(self, task_id: str, *, priority: int, due: int | None = None) -> None:
        if self.exact:
            self.model.put(task_id, priority=priority, due=due)

    @rule(who=WHO, which=WHICH, children=st.integers(1, 2))
    def beget(self, who: int, which: int, children: int) -> None:
        for hand in self.worker(who).some([which]):
            self._enqueue([self._entry(parent_id=hand.id) for _ in range(children)], parent=hand)

    @rule(which=WHICH)
    def retry(self, which: int) -> None:
        if (task_id := self.task(which)) and self.model.tasks[task_id].status.ended and len(self.model.tasks) < MOST:
            again = file_again(self._stored(task_id), self.keeper, self.clock).entry
            self._enqueue([again])

    @rule(which=WHICH)
    def deliver_twice(self, which: int) -> None:
        """A second message of the same task, as SQS sends, or who repeats a push whose answer was lost (R7)."""
        if task_id := self.task(which):
            entry = self._stored(task_id)
            self.keeper.broker.push([Message(entry.id, entry.payload, entry.priority)])
            self._put(task_id, priority=entry.priority)

    def _stored(self, task_id: str) -> Entry:
        entry = self.log.get(task_id)
        assert entry is not None
        return entry

    # Workers

    @rule(
        who=WHO,
        which=st.lists(WHICH, max_size=2),
        status=st.sampled_from([Status.COMPLETED, Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.ENQUEUED]),
        delay=st.sampled_from([0, 40]),
        limit=st.integers(0, 4),
        master=st.booleans(),
        keep=st.booleans(),
    )
    def turn(
        self, who: int, which: list[int], status: Status, delay: int, limit: int, *, master: bool, keep: bool
    ) -> None:
        worker = self.worker(who)
        if worker.dead and limit:
            self._refused(worker, limit)
            limit = 0
        done = worker.some(which)
        outcomes = [self._outcome(hand, status, delay, master=master) for hand in done]
        finished = [Finished(hand.held.delivery, outcome) for hand, outcome in zip(done, outcomes, strict=True)]
        turn = worker.queue.turn(finished, limit=limit, lease=LEASE, worker=worker.name)
        accepted = self._finish(worker, done, outcomes)
        assert turn.accepted == accepted
        if not keep:
            worker.hands = [hand for hand in worker.hands if hand not in done]
        self._claimed(worker, turn.held, limit)

    def _refused(self, worker: Worker, limit: int) -> None:
        """R1: who was declared dead takes nothing more, and is told so where there would be something."""
        try:
            assert worker.queue.turn([], limit=limit, lease=LEASE, worker=worker.name).held == []
        except Deposed:
            return
        assert not self.exact or not any(c.owner is None and c.due is None for c in self.model.copies)

    def _outcome(self, hand: Hand, status: Status, delay: float, *, master: bool) -> Outcome:
        claim = hand.held.claim
        attempts = claim.attempts + (hand.started or status is not Status.CANCELLED)
        attempt = Attempt(task_id=hand.id, fence=hand.fence, attempt=attempts, cause=Cause.RETRY, ended_at=1)
        return Outcome(
            id=hand.id,
            fence=hand.fence,
            status=status,
            queue=self.name,
            attempts=attempts,
            crashes=claim.crashes,
            master_status=master,
            report=REPORTS.get(status),
            delay=delay if status is Status.ENQUEUED else 0,
            attempt=attempt if status is Status.ENQUEUED else None,
        )

    def _finish(self, worker: Worker, done: list[Hand], outcomes: list[Outcome]) -> set[str]:
        accepted = set()
        for outcome in outcomes:
            due = self.clock.now + int(outcome.delay * 1e6) if outcome.delay else None
            values = {"attempts": outcome.attempts, "due": due or 0, "master": outcome.master_status}
            if self.model.finish(outcome.id, outcome.fence, outcome.status, **values):
                accepted.add(outcome.id)
        again = [o.status is Status.ENQUEUED for o in outcomes]
        self.model.gone(self._ours(worker, [h for h, back in zip(done, again, strict=True) if not back]))
        for hand, outcome in zip(done, outcomes, strict=True):
            if outcome.status is Status.ENQUEUED:
                due = self.clock.now + int(outcome.delay * 1e6) if outcome.delay else None
                self._back(self._ours(worker, [hand]), due=due)
        return accepted

    def _ours(self, worker: Worker, hands: list[Hand]) -> list[Copy]:
        """The leases that are still this worker's."""
        return [hand.copy for hand in hands if hand.copy in self.model.copies and hand.copy.owner == worker.owner]

    def _back(self, copies: list[Copy], *, due: int | None = None) -> None:
        self.model.back(copies, due=due)
        self._only_leases()

    def _only_leases(self) -> None:
        if not self.exact:
            self.model.copies = [copy for copy in self.model.copies if copy.owner is not None]

    def _claimed(self, worker: Worker, held: list[Held], limit: int) -> None:
        until = self.clock.now + int(LEASE * 1e6)
        if self.exact:
            taken = self.model.pop(limit, self.clock.now, worker.owner, until) if limit else []
            runs = self._sorted(taken)
            assert [h.claim.id for h in held] == [copy.task for copy in runs]
        else:
            runs = [Copy(h.claim.id, 0, 0, owner=worker.owner, until=until) for h in held]
            self.model.copies += runs
        for one, copy in zip(held, runs, strict=True):
            task = self.model.tasks[one.claim.id]
            assert task.status is Status.ENQUEUED
            assert self.exact or task.due <= self.clock.now + 1e6
            self.model.claim(task.id, worker.name)
            claim = one.claim
            assert (claim.fence, claim.attempts, claim.crashes) == (task.fence, task.attempts, task.crashes)
            assert (claim.cancel_requested, claim.has_children) == (task.cancel, task.family)
            worker.hands.append(Hand(one, copy))

    def _sorted(self, taken: list[Copy]) -> list[Copy]:
        """Those that may run. A second message of one is dropped, one of a task that is held looked at again later."""
        status = {copy.task: self.model.tasks[copy.task].status for copy in taken}
        held = [copy for copy in taken if status[copy.task] in HELD]
        first = {copy.task: copy for copy in reversed(taken) if status[copy.task] is Status.ENQUEUED}
        runs = [copy for copy in taken if first.get(copy.task) is copy]
        self.model.gone([copy for copy in taken if copy not in held and copy not in runs])
        self.model.back(held, due=self.clock.now + int(LEASE * 1e6))
        return runs

    @rule(who=WHO, which=WHICH)
    def start(self, who: int, which: int) -> None:
        for hand in self.worker(who).some([which]):
            attempt = hand.held.claim.attempts + 1
            answer = self.log.start(hand.id, fence=hand.fence, attempt=attempt, at=self.clock.now)
            assert answer is self.model.start(hand.id, hand.fence, attempt)
            assert self.log.progress(hand.id, fence=hand.fence, progress=b"1") is answer
            hand.started = hand.started or answer

    @rule(who=WHO)
    def extend(self, who: int) -> None:
        worker = self.worker(who)
        kept = self._ours(worker, worker.hands)
        told = worker.queue.extend([hand.held for hand in worker.hands], lease=LEASE)
        assert told == {copy.task for copy in kept}
        for copy in kept:
            copy.until = self.clock.now + int(LEASE * 1e6)

    @rule(who=WHO, which=st.lists(WHICH, min_size=1, max_size=3), cause=st.sampled_from([Cause.STOPPED]))
    def release(self, who: int, which: list[int], cause: Cause) -> None:
        worker = self.worker(who)
        given = worker.some(which)
        worker.queue.release([hand.held for hand in given], cause=cause)
        for hand in given:
            self.model.release(hand.id, hand.fence, cause)
        self._back(self._ours(worker, given))

    # Time, and whoever is in charge

    @rule(seconds=st.sampled_from([25, 61]))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(excused=st.booleans())
    def keep(self, *, excused: bool = False) -> None:
        self._recover(None, None, excused=excused)
        if self.keeper.database is None:
            self.keeper.relay(older_than=2)

    @rule(who=WHO, known=st.sampled_from(["nobody can tell", "what it ran"]), excused=st.booleans())
    def die(self, who: int, known: str, *, excused: bool) -> None:
        worker = self.worker(who)
        if worker.dead:
            return
        ran = [h.id for h in worker.hands if h.started and self.model.holds(h.id, h.fence)]
        self._recover(worker, None if known == "nobody can tell" else ran[:1], excused=excused)
        worker.dead = True
        self.workers = [w for w in self.workers if w.dead][-2:] + [w for w in self.workers if not w.dead]
        self._join()

    def _recover(self, dead: Worker | None, ran: list[str] | None, *, excused: bool) -> None:
        running = None if ran is None else dict.fromkeys(ran, "signal 9")
        told = self.keeper.recover([dead.owner] if dead else (), running=running, excused=excused)
        named = dead.owner if dead is not None and ran is not None else None
        # By whose hand it was lost is known here only before it goes back.
        owners = {id(copy): copy.owner for copy in self.model.copies}
        lost = self.model.recover(self.clock.now, dead.owner if dead else None)
        self._only_leases()
        assert sorted(one.id for one in told) == sorted(copy.task for copy, _ in lost)
        blamed = [(c.task, only and not excused and owners[id(c)] != named) for c, only in lost]
        self.model.lost(blamed, running=() if excused or ran is None else ran)

    @rule(which=WHICH, force=st.booleans())
    def cancel(self, which: int, *, force: bool) -> None:
        if task_id := self.task(which):
            self.log.cancel([task_id], force=force)
            self.model.cancel(task_id, force=force)

    @rule(which=WHICH)
    def archive(self, which: int) -> None:
        if task_id := self.task(which):
            self.log.archive([task_id])
            self.model.archive(task_id)

    # What always holds

    @invariant()
    def entries_are_as_the_model_says(self) -> None:
        stored = {entry.id: entry for entry in self._entries()}
        for task in self.model.tasks.values():
            one = stored[task.id]
            assert (one.status, one.fence, one.attempts, one.crashes) == (
                (task.status, task.fence, task.attempts, task.crashes)
            ), task
            assert (one.cancel_requested, one.has_children) == (task.cancel, task.family), task
            assert task.status not in HELD or one.worker == task.worker
            if task.ends:
                assert {a.fence: a.cause for a in self.log.attempts(task.id)} == task.ends
        assert len(stored) == len(self.model.tasks)
        counted = Counter(task.status for task in self.model.tasks.values())
        assert self.log.stats().get(self.name, {}) == dict(counted)

    def _entries(self) -> list[Entry]:
        return list(self.log.search(Search(filters=(Filter("queue", Op.EQ, self.name),), limit=100)).entries)

    @invariant()
    def messages_are_as_the_model_says(self) -> None:
        """What is enqueued has a message, what is held a lease of one holder."""
        if self.exact:
            depth = self.keeper.broker.depth()
            assert (depth.waiting, depth.delayed, depth.leased) == self.model.depth()
            there = {copy.task for copy in self.model.copies}
            assert all(t.id in there for t in self.model.tasks.values() if t.status is Status.ENQUEUED)
        held = Counter(copy.task for copy in self.model.copies if copy.owner is not None)
        assert all(number == 1 for number in held.values())
        assert all(held[t.id] for t in self.model.tasks.values() if t.status in HELD)

    # The end

    def teardown(self) -> None:
        self._join()
        last = self.workers[-1]
        for _ in range(60):
            if self._nothing_is_left():
                break
            self.world.advance(LEASE + 41)
            self.keep()
            before = len(last.hands)
            self.turn(len(self.workers) - 1, [], Status.COMPLETED, 0, 10, master=False, keep=False)
            for number, hand in enumerate(last.hands[before:], start=before):
                status = Status.CANCELLED if hand.held.claim.cancel_requested else Status.COMPLETED
                self.turn(len(self.workers) - 1, [number], status, 0, 0, master=True, keep=True)
            self.entries_are_as_the_model_says()
            self.messages_are_as_the_model_says()
        assert self._nothing_is_left(), (self.model.tasks, self.keeper.broker.depth())
        self._purge()

    def _nothing_is_left(self) -> bool:
        ended = all(task.status.ended for task in self.model.tasks.values())
        return ended and not self.model.copies and self.keeper.broker.depth().total == 0

    def _purge(self) -> None:
        for status in Status:
            if status.ended:
                sum(self.log.purge(status=status, before=self.clock.now + 10**15, limit=5))
        assert self._entries() == []
        assert all(self.log.attempts(i) == [] for i in self.model.tasks)
        assert self.log.stats().get(self.name, {}) == {}


def live(kind: str, folder: Path, *, examples: int, steps: int) -> None:
    with world(kind, folder) as opened:
        machine = type("AnyLives", (Lives,), {"world": opened})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


FEW = {"memory": 40, "sqlite": 5, "two stores": 3, "postgresql": 2, "mariadb": 2, "sqs": 1}


@pytest.mark.timeout(600)  # seconds if all is well; a life that breaks a promise is made as short as it can be
@pytest.mark.parametrize("kind", WORLDS)
def test_a_queue_keeps_its_promises_in_any_lives_of_its_tasks(kind: str, tmp_path: Path) -> None:
    live(kind, tmp_path, examples=FEW[kind], steps=30)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", WORLDS)
def test_a_queue_keeps_its_promises_in_a_thousand_lives_of_its_tasks(kind: str, tmp_path: Path) -> None:
    live(kind, tmp_path, examples=40 * FEW[kind], steps=60)
