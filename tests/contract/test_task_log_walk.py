"""Random lives of entries, told to every task log at once: they agree, counts are true, no parent waits in vain."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from taskqueue.message import Delivery, Lost
from taskqueue.status import Status
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.tasklog.entry import Attempt, Cause, Claim, Entry, Filter, Op, Outcome, Search
from tests.support.clock import FakeClock
from tests.support.task_logs import LIFE, LOG_BACKENDS, Story

WHICH = st.integers(0, 11)
FEW = st.lists(WHICH, min_size=1, max_size=4)
queues = (f"q{number}" for number in itertools.count())


class Walk(RuleBasedStateMachine):
    """Every step is told to all logs and answered alike. Entries are meant by number, in the order of their birth."""

    logs: dict[str, TaskLogBroker]
    clock: FakeClock

    def __init__(self) -> None:
        super().__init__()
        self.queue = next(queues)
        self.ids: list[str] = []
        self.claims: dict[str, Claim] = {}

    def tell(self, step: Callable[[TaskLogBroker], Any]) -> Any:
        answers = {name: step(log) for name, log in self.logs.items()}
        first = next(iter(answers.values()))
        assert all(answer == first for answer in answers.values()), answers
        return first

    def some(self, numbers: list[int]) -> list[str]:
        return [self.ids[n % len(self.ids)] for n in numbers] if self.ids else []

    def held(self, numbers: list[int]) -> list[Claim]:
        return [self.claims[i] for i in dict.fromkeys(self.some(numbers)) if i in self.claims]

    def entries(self, log: TaskLogBroker) -> list[Entry]:
        page = log.search(Search(filters=(Filter("queue", Op.EQ, self.queue),), limit=1000))
        return list(page.entries)

    @rule(parent=WHICH, child=st.booleans())
    def add(self, parent: int, *, child: bool) -> None:
        if len(self.ids) >= 12:
            return
        values = {"queue": self.queue, "owner": "ann"}
        if child and (claims := self.held([parent])):
            if not self.tell(lambda log: log.adopt_child(claims[0].id, fence=claims[0].fence)):
                return
            values["parent_id"] = claims[0].id
        entry = Story(next(iter(self.logs.values())), self.clock).entry(**values)
        assert self.tell(lambda log: log.add([entry])) == [entry.id]
        self.ids.append(entry.id)

    @rule(numbers=FEW)
    def claim(self, numbers: list[int]) -> None:
        asked = [Delivery(i, b"", "r") for i in self.some(numbers)]
        answers = self.tell(lambda log: log.claim(asked, worker="w1", incarnation=LIFE))
        self.claims.update({i: answer for i, answer in answers.items() if isinstance(answer, Claim)})

    @rule(number=WHICH, children=st.integers(0, 2))
    def beget(self, number: int, children: int) -> None:
        """A whole run that leaves children behind, or none after all: by chance alone, families would be rare."""
        self.claim([number])
        if claims := self.held([number]):
            self.tell(lambda log: log.adopt_child(claims[0].id, fence=claims[0].fence))
        for _ in range(children):
            self.add(number, child=True)
        self.finish([number], Status.COMPLETED, master=False)

    @rule(numbers=FEW, status=st.sampled_from([Status.COMPLETED, Status.FAILED]))
    def run(self, numbers: list[int], status: Status) -> None:
        self.claim(numbers)
        self.finish(numbers, status, master=False)

    @rule(number=WHICH)
    def start(self, number: int) -> None:
        if claims := self.held([number]):
            task, fence, attempt, at = claims[0].id, claims[0].fence, claims[0].attempts + 1, self.clock.now
            self.tell(lambda log: log.start(task, fence=fence, attempt=attempt, at=at))

    @rule(
        numbers=FEW,
        status=st.sampled_from([Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.ENQUEUED]),
        master=st.booleans(),
    )
    def finish(self, numbers: list[int], status: Status, *, master: bool) -> None:
        outcomes = [self.outcome(claim, status, master=master) for claim in self.held(numbers)]
        self.tell(lambda log: log.finish(outcomes))

    def outcome(self, claim: Claim, status: Status, *, master: bool) -> Outcome:
        attempt = Attempt(task_id=claim.id, fence=claim.fence, attempt=1, cause=Cause.RETRY, ended_at=1)
        return Outcome(
            id=claim.id,
            fence=claim.fence,
            status=status,
            queue=self.queue,
            attempts=claim.attempts + 1,
            crashes=claim.crashes,
            master_status=master,
            attempt=attempt if status is Status.ENQUEUED else None,
        )

    @rule(numbers=FEW)
    def release(self, numbers: list[int]) -> None:
        fences = {claim.id: claim.fence for claim in self.held(numbers)}
        self.tell(lambda log: log.release(fences, cause=Cause.STOPPED))

    @rule(numbers=FEW, owner=st.sampled_from([LIFE, LIFE, "another"]), only_one=st.booleans(), running=st.booleans())
    def lose(self, numbers: list[int], owner: str, *, only_one: bool, running: bool) -> None:
        cause = "signal 9" if running else None
        lost = [Lost(i, owner, only_one, cause=cause) for i in dict.fromkeys(self.some(numbers))]
        self.tell(lambda log: log.lost(lost, max_crashes={self.queue: 1}))

    @rule(numbers=FEW, force=st.booleans())
    def cancel(self, numbers: list[int], *, force: bool) -> None:
        self.tell(lambda log: log.cancel(self.some(numbers), force=force))

    @rule(numbers=FEW)
    def archive(self, numbers: list[int]) -> None:
        self.tell(lambda log: log.archive(self.some(numbers)))

    @rule(status=st.sampled_from([s for s in Status if s.ended]), limit=st.integers(1, 3))
    def purge(self, status: Status, limit: int) -> None:
        before = self.clock.now
        self.tell(lambda log: sum(log.purge(status=status, before=before, limit=limit)))

    @invariant()
    def all_logs_say_the_same(self) -> None:
        self.tell(self.entries)
        self.tell(lambda log: [log.attempts(i) for i in self.ids])
        self.tell(lambda log: log.cancel_flags(self.ids))
        self.tell(lambda log: [log.children(i) for i in self.ids])

    @invariant()
    def the_counts_are_true(self) -> None:
        for log in self.logs.values():
            counted = Counter(entry.status for entry in self.entries(log))
            assert log.stats().get(self.queue, {}) == dict(counted)
            assert log.stats(owner="ann").get(self.queue, {}) == dict(counted)

    @invariant()
    def no_parent_waits_for_nothing(self) -> None:
        entries = self.entries(next(iter(self.logs.values())))
        waited_for = {entry.parent_id for entry in entries if not entry.status.ended}
        assert all(e.id in waited_for for e in entries if e.status is Status.CHILD_RUNNING)

    def teardown(self) -> None:
        for log in self.logs.values():
            for status in Status:
                sum(log.purge(status=status, before=self.clock.now + 10**9, limit=100))


@pytest.fixture
def logs(tmp_path: Path, clock: FakeClock) -> Iterator[dict[str, TaskLogBroker]]:
    with ExitStack() as handles:
        yield {backend.name: backend.connect(tmp_path, handles, clock)() for backend in LOG_BACKENDS}


def walk(logs: dict[str, TaskLogBroker], clock: FakeClock, *, examples: int) -> None:
    machine = type("AnyWalk", (Walk,), {"logs": logs, "clock": clock})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=30, deadline=None))


@pytest.mark.timeout(300)  # some 10,000 round trips
def test_all_task_logs_agree_on_any_walk(logs: dict[str, TaskLogBroker], clock: FakeClock) -> None:
    walk(logs, clock, examples=12)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_all_task_logs_agree_on_hundreds_of_walks(logs: dict[str, TaskLogBroker], clock: FakeClock) -> None:
    walk(logs, clock, examples=300)
