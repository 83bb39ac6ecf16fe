"""The back-ends of the task log's contract suite, one line each, and what its tests are told with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from taskqueue.database.engine import Database
from taskqueue.ids import new_id
from taskqueue.message import Delivery
from taskqueue.status import Status
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.tasklog.entry import Claim, Entry, Outcome
from taskqueue.tasklog.memory import InMemoryTaskLogBroker
from taskqueue.tasklog.rds import RdsTaskLogBroker
from tests.support.clock import FakeClock
from tests.support.servers import open_in

OpenTaskLog = Callable[[], TaskLogBroker]
#: of the worker that claims here, if nothing else is said
LIFE = "0197f7a0-0000-7000-8000-000000000001"
REPORT = b'{"kind":"success","message":"done"}'


class LogBackend(msgspec.Struct, frozen=True):
    """A task log to be tested. `connect` gives what opens handles on one empty store in that folder."""

    name: str
    connect: Callable[[Path, ExitStack, FakeClock], OpenTaskLog]


def memory(_folder: Path, _stack: ExitStack, clock: FakeClock) -> OpenTaskLog:
    log = InMemoryTaskLogBroker(clock=clock)
    return lambda: log


def sqlite(folder: Path, stack: ExitStack, clock: FakeClock) -> OpenTaskLog:
    def handle() -> TaskLogBroker:
        log = RdsTaskLogBroker(Database(f"sqlite:///{folder / 'tasks.db'}"), clock=clock)
        stack.callback(log.close)
        log.initialize()
        return log

    return handle


def server(kind: str) -> LogBackend:
    def connect(folder: Path, stack: ExitStack, clock: FakeClock) -> OpenTaskLog:
        def handle() -> TaskLogBroker:
            log = RdsTaskLogBroker(open_in(kind, folder), clock=clock)
            stack.callback(log.close)
            return log

        return handle

    return LogBackend(kind, connect)


LOG_BACKENDS = [LogBackend("memory", memory), LogBackend("sqlite", sqlite), server("postgresql"), server("mariadb")]


class Story:
    """A task log and a clock, and the steps of a task's life in one word each."""

    def __init__(self, log: TaskLogBroker, clock: FakeClock) -> None:
        self.log = log
        self.clock = clock

    def entry(self, **values: Any) -> Entry:
        self.clock.advance(0.002)
        defaults = {
            "id": self._id(),
            "name": "shop:mail",
            "queue": "mail",
            "created_at": self.clock.now,
            "payload": b"{}",
        }
        return Entry(**defaults | values)

    def _id(self) -> str:
        stamp = f"{self.clock.now // 1000:012x}"
        return f"{stamp[:8]}-{stamp[8:]}{new_id()[13:]}"

    def add(self, **values: Any) -> str:
        entry = self.entry(**values)
        self.log.add([entry])
        return entry.id

    def claim(self, task_id: str, *, worker: str = "w1", incarnation: str = LIFE) -> Claim:
        claim = self.log.claim([Delivery(task_id, b"{}", "r")], worker=worker, incarnation=incarnation)[task_id]
        assert isinstance(claim, Claim), claim
        return claim

    def begin(self, task_id: str, *, worker: str = "w1", incarnation: str = LIFE) -> Claim:
        claim = self.claim(task_id, worker=worker, incarnation=incarnation)
        assert self.log.start(task_id, fence=claim.fence, attempt=claim.attempts + 1, at=self.clock.now)
        return claim

    def outcome(self, claim: Claim, status: Status = Status.COMPLETED, **values: Any) -> Outcome:
        defaults = {"report": REPORT, "attempts": claim.attempts + 1, "crashes": claim.crashes, "queue": "mail"}
        return Outcome(id=claim.id, fence=claim.fence, status=status, **defaults | values)

    def finish(self, claim: Claim, status: Status = Status.COMPLETED, **values: Any) -> bool:
        return claim.id in self.log.finish([self.outcome(claim, status, **values)])

    def run(self, task_id: str, status: Status = Status.COMPLETED, **values: Any) -> None:
        assert self.finish(self.begin(task_id), status, **values)

    def running_parent(self, **values: Any) -> Claim:
        claim = self.begin(self.add(**values))
        assert self.log.adopt_child(claim.id, fence=claim.fence)
        return claim

    def status(self, task_id: str) -> Status:
        return self.log.statuses([task_id])[task_id]

    def get(self, task_id: str) -> Entry:
        entry = self.log.get(task_id)
        assert entry is not None
        return entry


def ids(entries: Iterable[Entry]) -> list[str]:
    return [entry.id for entry in entries]
