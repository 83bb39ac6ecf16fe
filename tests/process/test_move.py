"""A queue moves while all others go on: producers and workers of both configurations, real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from taskqueue import Status
from tests.support import forked, tasks
from tests.support.eventually import eventually
from tests.support.moving import SWITCHED, Removal, Route
from tests.support.programs import start

pytestmark = pytest.mark.process
REPOSITORY = Path(__file__).parents[2]
PRODUCER = """
    import sys, threading
    from taskqueue.app import App
    from taskqueue.settings import load
    from tests.support import tasks

    config, ledger, ids, *sets = sys.argv[1:]
    queue = App(load(config, sets=sets)).dispatcher
    done = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
    with open(ids, "w") as out:
        while not done.wait(0.01):
            handle = queue.options(delay=0.05).enqueue(tasks.traced, ledger) if done.wait(0.01) else (
                queue.enqueue(tasks.traced, ledger)
            )
            out.write(handle.id + "\\n")
            out.flush()
"""


class Typed:
    """One command that goes on."""

    def __init__(self, removal: Removal, name: str, *args: str) -> None:
        self.log = removal.folder / f"{name}.log"
        with self.log.open("wb") as out:
            self.process = forked.start(
                "taskqueue",
                *("--config", str(removal.config), *args),
                environment=dict(os.environ, PYTHONPATH=str(REPOSITORY)),
                out=out.fileno(),
                err=out.fileno(),
            )

    def stop(self) -> str:
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log.read_text()
        return self.log.read_text()


@pytest.fixture
def removal(request, tmp_path):
    opened = Removal(tmp_path, request.param, lease=10)
    yield opened
    opened.close()


@pytest.fixture
def typed(removal):
    started = []

    def type_in(*args: str) -> Typed:
        started.append(Typed(removal, f"{args[0]}-{len(started)}", *args))
        return started[-1]

    yield type_in
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "removal",
    [
        Route("sqlite", "postgresql", "postgresql"),
        Route("postgresql", "sqs", "postgresql"),
        Route("sqs", "postgresql", "postgresql"),
        Route("mariadb", "postgresql", "sqlite"),
    ],
    indirect=True,
    ids=str,
)
def test_a_queue_moves_while_producers_and_workers_of_both_configurations_run(removal, typed):
    """P1, P2: none is lost, none runs in two at once, and each runs once, as nobody dies."""
    ids = [removal.folder / "old-ids", removal.folder / "new-ids"]
    workers = [typed("worker", "default"), typed("worker", "default", "--set", SWITCHED)]
    with start(PRODUCER, removal.config, removal.ledger, ids[0]) as old:
        with start(PRODUCER, removal.config, removal.ledger, ids[1], SWITCHED) as new:
            mover = typed("move", "default", "--from", "old", "--to", "new", "--follow", "--json")
            eventually(lambda: all(written(file, 25) for file in ids), within=60, what="tasks of both producers")
            # The one that was killed is followed by another: as far as it came, it came.
            mover.process.kill()
            mover = typed("move", "default", "--from", "old", "--to", "new", "--follow", "--json")
            workers[0].stop()
            eventually(lambda: all(written(file, 50) for file in ids), within=60, what="more tasks of both")
            old.stdin.close()
            assert old.wait(30) == 0, old.stderr.read()
            enqueued = [task_id for file in ids for task_id in file.read_text().split()]
            eventually(lambda: removal.source.broker.depth().total == 0, within=60, what="an empty source")
            assert json.loads(mover.stop())["moved"] > 0
            new.stdin.close()
            assert new.wait(30) == 0, new.stderr.read()

    def not_ended() -> list[str]:
        found = (removal.new.task_log_broker.get(task_id) for task_id in enqueued)
        return [f"{e.id} {e.status.label} relayed {e.relayed_at}" for e in found if e.status is not Status.COMPLETED]

    eventually(lambda: not not_ended(), within=90, what="the end of all")
    workers[1].stop()
    removal.never_two_at_once()
    starts = removal.starts()
    assert [starts.get(task_id) for task_id in enqueued] == [1] * len(enqueued)


@pytest.mark.parametrize("removal", [Route("sqlite", "postgresql", "sqlite")], indirect=True, ids=str)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_between_two_batches_with_exit_code_0(removal, typed, number):
    handles = removal.old.dispatcher.enqueue_many(tasks.add.bind(1, n) for n in range(2000))
    mover = typed("move", "default", "--to", "new", "--json")
    eventually(lambda: removal.destination.broker.depth().waiting, what="a first batch")
    mover.process.send_signal(number)
    assert mover.process.wait(30) == 0, mover.log.read_text()
    done = json.loads(mover.log.read_text())
    assert done["moved"] == removal.destination.broker.depth().waiting
    assert done["moved"] + removal.source.broker.depth().waiting == len(handles)


def written(file: Path, number: int) -> bool:
    return file.exists() and len(file.read_text().split()) >= number
