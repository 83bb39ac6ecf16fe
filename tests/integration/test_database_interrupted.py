"""A task that is interrupted inside of our store leaves nothing locked, open or half done (R17)."""

from __future__ import annotations

import sqlite3

import pytest

from tests.support.programs import run

PROGRAM = """
import random, sqlite3, sys, threading, time, traceback, warnings
import sqlalchemy as sa
from taskqueue.database.engine import Database
from taskqueue.database.filelock import FileLock
from taskqueue.errors import TaskTimeout
from taskqueue.shield import SHIELD
from taskqueue.worker.interrupt import Interrupter

path, times = sys.argv[1], int(sys.argv[2])
database = Database("sqlite:///" + path, timeout=1.0)
database.initialize()
queue = database.tables.queue
other, lock = sqlite3.connect(path, timeout=0, isolation_level=None), FileLock(path)
interrupter = Interrupter()
interrupter.install()
chance = random.Random(7)
inside = True

def nothing_is_left():
    assert not database._process.open and not database._process._inside and not database._process.joined
    assert not SHIELD.depth and SHIELD.pending is None
    assert lock.acquire(0), "the turn is still taken"
    lock.release()

def nobody_writes():
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")

STEP
def some_time(run):
    # Whatever the main thread is at then, be it in the kernel.
    helper = threading.Thread(target=interrupt, args=(run, chance.uniform(0, 0.004)))
    return helper.start, helper.join

def interrupt(run, seconds):
    threading.Event().wait(seconds)
    interrupter.interrupt(run, TaskTimeout(str(run)))

CALLBACKS = {"_collection_gced", "remove"}  # of weak references: SQLAlchemy's, and weakref's own

def some_line(run):
    # Most of the time goes where little can go wrong; here each line is as likely as any other.
    left = chance.randrange(lines)

    def count(frame, event, _):
        nonlocal left
        left -= inside
        # Of what is raised while the garbage collector calls back, Python only tells; the worker's guard repeats it.
        calls = {call.f_code.co_name for call, _ in traceback.walk_stack(frame)} if left < 0 else CALLBACKS
        if not calls & CALLBACKS:
            sys.settrace(None)
            interrupter.interrupt(run, TaskTimeout(str(run)))
        return count

    return lambda: sys.settrace(count), lambda: sys.settrace(None)

def lines_of_a_step():
    lines = 0

    def count(frame, event, _):
        nonlocal lines
        lines += inside
        return count

    step(0)
    sys.settrace(count)
    step(1)
    sys.settrace(None)
    return lines

lines = lines_of_a_step()
steps, raised, dropped = 1, 0, 0
for n in range(times):
    # Some tasks end on their own, perhaps before they are interrupted.
    end = steps + 2 if n % 10 == 0 else None
    deadline = time.monotonic() + 10
    begin, over = (some_line if n % 2 or not inside else some_time)(interrupter.run + 1)
    try:
        with interrupter as run:
            begin()
            while steps != end and time.monotonic() < deadline:
                steps += 1
                step(steps)
            assert end, "the interrupt never came"
        dropped += 1
    except TaskTimeout as error:
        # Here, where the traceback still holds every frame: nothing may be left to the garbage collector.
        assert str(error) == str(run)
        raised += 1
        nothing_is_left()
        if inside:
            nobody_writes()
    over()
    nothing_is_left()
    nobody_writes()
assert raised + dropped == times and raised >= times // 2
other.close()
lock.close()
database.close()
"""

OURS = """
def step(n):
    with database.begin() as tx:
        tx.execute(sa.insert(queue), {"name": f"{n} a"})
        with database.begin() as part:
            part.execute(sa.insert(queue), {"name": f"{n} b"})
    with database.read() as connection:
        connection.execute(sa.select(sa.func.count()).select_from(queue)).scalar_one()
"""
THEIRS = """
import pathlib
from taskqueue import connect
from tests.support.tasks import add

# A connection of the application that is interrupted in the application's own step is left to the garbage collector.
warnings.simplefilter("ignore", ResourceWarning)
engine = sa.create_engine("sqlite:///" + path)
config = pathlib.Path(path).with_suffix(".toml")
config.write_text(f'[brokers.main]\\nurl = "sqlite:///{path}"\\n[queues.default]\\n')
application = connect(config)
application.enqueue(add, 1, 1)
database = application.queue("default").database
inside = False

def step(n):
    global inside
    with engine.begin() as connection:
        connection.execute(sa.insert(queue), {"name": f"{n} a"})
        try:
            # What is interrupted between the application's own steps is the application's to clean up.
            inside = True
            application.options(connection=connection).enqueue(add, 1, 1)
        finally:
            inside = False
        connection.execute(sa.insert(queue), {"name": f"{n} b"})
"""


@pytest.mark.parametrize("step", [OURS, THEIRS], ids=["transactions of our own", "the application's own"])
def test_a_store_survives_interrupts_at_random_moments(tmp_path, step):
    path = tmp_path / "queue.db"
    run(PROGRAM.replace("STEP", step), path, 300)
    connection = sqlite3.connect(path)
    halves = connection.execute("SELECT substr(name, -1), count(*) FROM taskqueue_queue GROUP BY 1").fetchall()
    (tasks,) = connection.execute("SELECT count(*) FROM taskqueue_entry").fetchone()
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert [half for half, _ in halves] == ["a", "b"]
    assert halves[0][1] == halves[1][1] > 1
    assert tasks in (0, 1 + halves[0][1])
