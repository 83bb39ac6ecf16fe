"""A child never touches what its parent has open. Each story forks, so each is a program of its own."""

from __future__ import annotations

import sqlite3

import pytest

from tests.support.programs import run

PRELUDE = """
import os, sys, threading
import sqlalchemy as sa
from taskqueue.database.engine import Database

database = Database("sqlite:///" + sys.argv[1])
queue = database.tables.queue

def pause(name):
    with database.begin() as tx:
        tx.execute(sa.insert(queue), {"name": name})

def queues():
    with database.read() as connection:
        return sorted(connection.execute(sa.select(queue.c.name)).scalars())

def in_child(step):
    pid = os.fork()
    if pid:
        return pid
    step()
    END

def wait(pid):
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.fixture(params=["os._exit(0)", "sys.exit()"], ids=["at once", "in good order"])
def story(request, tmp_path):
    """Runs a program in which children end by `_exit`, or by an ordinary exit that frees and closes everything."""

    def tell(program: str) -> list[str]:
        run(PRELUDE.replace("END", request.param) + program, tmp_path / "queue.db")
        connection = sqlite3.connect(tmp_path / "queue.db")
        names = [name for (name,) in connection.execute("SELECT name FROM taskqueue_queue ORDER BY name")]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        return names

    return tell


def test_both_sides_of_a_fork_go_on_working(story):
    program = """
pause("before")
def child():
    assert "before" in queues()
    for n in range(20):
        pause(f"child {n:02}")
pid = in_child(child)
for n in range(20):
    pause(f"parent {n:02}")
wait(pid)
assert len(queues()) == 41
database.close()
"""
    assert len(story(program)) == 41


def test_a_fork_in_a_transaction_of_the_parent_leaves_it_whole(story):
    program = """
pause("before")
with database.begin() as tx:
    tx.execute(sa.insert(queue), {"name": "parent 1"})
    wait(in_child(lambda: None))
    pause("parent 2")
pause("parent 3")
"""
    assert story(program) == ["before", "parent 1", "parent 2", "parent 3"]


def test_a_child_cannot_commit_its_parents_transaction(story):
    program = """
from taskqueue.errors import TaskQueueError
pause("before")
try:
    with database.begin() as tx:
        tx.execute(sa.insert(queue), {"name": "parent"})
        pid = os.fork()
        if pid:
            wait(pid)
except TaskQueueError as error:
    assert "forked inside" in str(error) and not pid
    try:
        queues()
    except TaskQueueError as error:
        # SQLite would believe to hold the parent's locks.
        assert "fork outside of one" in str(error)
        sys.exit()
pause("after")
"""
    assert story(program) == ["after", "before", "parent"]


def test_a_fork_beside_threads_that_write_disturbs_neither(story):
    program = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # that the process has threads is what this is about
pause("before")
stop = threading.Event()
def write():
    n = 0
    while not stop.is_set():
        pause(f"{threading.current_thread().name} {n}")
        n += 1
threads = [threading.Thread(target=write, name=f"thread {n}") for n in range(3)]
for thread in threads:
    thread.start()
for round in range(8):
    wait(in_child(lambda: pause(f"child {round}")))
stop.set()
for thread in threads:
    thread.join()
"""
    names = story(program)
    assert [name for name in names if name.startswith("child")] == [f"child {n}" for n in range(8)]


def test_a_child_does_not_keep_the_turn_of_a_parent_that_died(story):
    program = """
import signal
pause("before")
ready, ready_end = os.pipe()
over, over_end = os.pipe()
parent = os.fork()
if not parent:
    os.close(over_end)
    with database.begin():
        if os.fork():
            os.write(ready_end, b"!")
        os.read(over, 1)
        os._exit(0)
os.read(ready, 1)
os.kill(parent, signal.SIGKILL)
os.waitpid(parent, 0)
pause("after")
"""
    assert story(program) == ["after", "before"]


def test_a_child_works_on_when_its_parent_has_left(story):
    program = """
def go_on(message):
    os.write(there_end, b"!")
    os.read(back, 1)
    pause(message)
pause("before")
there, there_end = os.pipe()
back, back_end = os.pipe()
def child():
    queues()
    for n in range(3):
        go_on(f"child {n}")
pid = in_child(child)
for n in range(3):
    os.read(there, 1)
    database.close()  # whoever leaves last takes the write-ahead log away: it must not think that it is the last
    os.write(back_end, b"!")
wait(pid)
assert len(queues()) == 4
"""
    assert story(program) == ["before", "child 0", "child 1", "child 2"]
