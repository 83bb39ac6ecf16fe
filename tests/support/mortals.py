"""Workers and applications that die at their stores and start again, and what is left when all has ended."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from taskqueue.ids import new_id
from tests.support import books, forked
from tests.support.eventually import eventually
from tests.support.faults import COMMIT, Death, Stage
from tests.support.ledger import Ledger, verdict
from tests.support.lives import FIFO, LIVES
from tests.support.project import REPOSITORY, RunningWorker
from tests.support.supervision import Site

#: no task is to fail for so many deaths; a lease is longer than any start of a worker
DEFAULTS = 'lease = "3s"\nmax_crashes = 100\nmax_waiting = 100_000'
PARTS = {
    "modules": '"tests.support.tasks", "tests.support.lives", "tests.support.faults"',
    "defaults": DEFAULTS,
    "queues": "[queues.default]",
}
WITH_A_LINE = f'[queues.default]\n[queues."{FIFO}"]'


class Mortals:
    """One worker, started anew whenever it has died, and applications that enqueue lives."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        #: where workers die, and where applications do
        self.stage, self.applications = Stage(folder / "stage"), Stage(folder / "applications")
        site.variables = self.stage.variables
        self.ledger = Ledger(site.ledger)
        self.enqueued: set[str] = set()
        self.worker: RunningWorker | None = None
        self._told: set[str] = set()

    @property
    def at_work(self) -> bool:
        """Whether there is somebody to run tasks."""
        return self.worker is not None

    def start(self) -> None:
        """Let a worker work."""
        self.worker = worker = self.site.worker(*self.site.app.queues)
        eventually(lambda: "worker started" in worker.log.read_text() or self._has_died(), what="a worker")

    def stop(self) -> None:
        """Let it leave: in good order, unless it dies on the way."""
        assert self.worker is not None
        self.worker.send("SIGTERM")
        self.worker.wait()
        assert self._has_died() or self.worker.process.returncode == 0
        self.worker = None

    def end(self) -> None:
        """Nothing may be left when the last one has left."""
        self.stage.set()
        if self.worker is not None:
            self.stop()
            assert self.judge(workers=False) == []

    def enqueue(self, life: str) -> None:
        """Enqueue it, by hands that do not die."""
        ids = _ids(life)
        LIVES[life].enqueue(self.site.app, str(self.site.ledger), ids)
        self._note(life, ids)

    def enqueue_by_a_mortal(self, life: str) -> None:
        """Enqueue it by a program, which is started again with the same ids when it has died."""
        ids = _ids(life)
        while self._application(life, ids):
            pass
        self._note(life, ids)

    def _note(self, life: str, ids: list[str]) -> None:
        keyed, log = LIVES[life].keyed, self.site.app.task_log_broker
        stored = [log.keyed("default", one) for one in ids] if keyed else ids
        assert None not in stored
        self.enqueued.update(stored)

    def _application(self, life: str, ids: list[str]) -> int:
        said = self.site.folder / "application.log"
        with said.open("ab") as out:
            arguments = (str(self.site.config), str(self.site.ledger), life, *ids)
            environment = dict(os.environ, PYTHONPATH=str(REPOSITORY), **self.applications.variables)
            out_and_err = {"out": out.fileno(), "err": out.fileno()}
            done = forked.start("tests.support.one_life", *arguments, environment=environment, **out_and_err).wait(60)
        assert done in (0, -signal.SIGKILL), said.read_text()
        return done

    def settle(self, *, within: float = 60) -> None:
        """Wait until all has ended and nothing is in anybody's hands, with a new worker for each that died."""
        eventually(self._has_settled, within=within, what="an end of it all")

    def _has_settled(self) -> bool:
        if self.worker is not None and self._has_died():
            self.start()
        if not all(status.ended for status in self.site.app.task_log_broker.statuses(list(self.enqueued)).values()):
            return False
        return books.nothing_in_hand(self.site.app)

    def _has_died(self) -> bool:
        assert self.worker is not None
        code = self.worker.process.poll()
        assert code in (None, 0, -signal.SIGKILL), self.worker.log.read_text()
        return code == -signal.SIGKILL

    def judge(self, *, workers: bool = True) -> list[str]:
        """What may not be, and was not told before."""
        found = verdict(
            self.ledger,
            books.read(self.site.app, workers=workers),
            enqueued=self.enqueued,
            faults=[*self.stage.faults(), *self.applications.faults()],
        )
        new = [one for one in found if one not in self._told]
        self._told.update(new)
        return new

    def die(self, life: str, *deaths: Death) -> list[str]:
        """Live that life with these deaths of workers on its way; what may not be."""
        self.stage.set(*deaths)
        self.enqueue(life)
        if not self.at_work:
            self.start()
        self.settle()
        self._idle_until_all_came(deaths)
        return self.judge()

    def _idle_until_all_came(self, deaths: Sequence[Death]) -> None:
        """A life may be over before its worker looks at something again, as it does every now and then."""
        if self.stage.came() < len(deaths) and deaths[-1].nth == 1 and deaths[-1].call not in SELDOM:
            with contextlib.suppress(AssertionError):
                eventually(lambda: self.stage.came() == len(deaths), within=8)
            self.settle()

    def die_from_start_to_stop(self, life: str, *deaths: Death) -> list[str]:
        """Live that life with a worker that starts for it and leaves after it; what may not be."""
        self.stage.set(*deaths)
        self.enqueue(life)
        self.start()
        self.settle()
        self.stop()
        if books.read(self.site.app).left:
            self.start()  # it died as it left, and the next one tidies up
            self.settle()
            self.stop()
        return self.judge(workers=False)

    def enqueue_and_die(self, life: str, *deaths: Death) -> list[str]:
        """Live that life with these deaths of applications before it; what may not be."""
        self.applications.set(*deaths)
        self.enqueue_by_a_mortal(life)
        if not self.at_work:
            self.start()
        self.settle()
        return self.judge()


class Supervised(Mortals):
    """Workers and a keeper that a supervisor starts anew."""

    @property
    def at_work(self) -> bool:
        return bool(self.site.supervisors)

    def start(self) -> None:
        self.site.start(variables=self.stage.variables)


def _ids(life: str) -> list[str]:
    return [new_id() for _ in range(LIVES[life].tasks)]


#: how many calls of a name are died at: a commit is each time another one's
MOST = {COMMIT: 12}
A_FEW = 2
#: lives in which a death is waited for
TRIES = 4
#: too seldom to wait for; a worker that starts makes these at once
SELDOM = {"log.purge"}


def anywhere(stage: Stage) -> Iterator[Death]:
    """Before and after each call that was made on that stage."""
    for call, count in sorted(stage.calls().items()):
        for nth in range(1, min(count, MOST.get(call, A_FEW)) + 1):
            yield Death(call, nth, "before")
            yield Death(call, nth, "after")


def sweep(stage: Stage, live: Callable[..., list[str]], *before: Death) -> dict[str, list[str]]:
    """Live without a death but those `before`, then once for each death that is possible; what went wrong, by death."""
    lives = []
    for _ in range(3):  # the first time a worker that has just started is still busy with itself
        assert live(*before) == []
        lives.append(stage.calls())
    # What comes in one life and not in another one hangs on the machine: a task that was late, say.
    certain = (lives[1].keys() & lives[2].keys()) - SELDOM
    found: dict[str, list[str]] = {}
    for death in list(anywhere(stage)):
        # What hangs on how fast the machine is may not come in one life, and come in the next.
        for _ in range(TRIES if death.nth == 1 and death.call in certain else 1):
            if told := live(*before, death):
                found[str(death)] = told
            if stage.came() > len(before):
                break
        else:
            if death.nth == 1 and death.call in certain:
                found[str(death)] = ["did not come"]
    return found
