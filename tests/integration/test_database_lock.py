"""R13: writers take turns."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskqueue.database.filelock import FileLock
from taskqueue.database.sidefile import write_lock_holders
from tests.support.programs import run, start


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "queue.db").touch()
    return str(tmp_path / "queue.db")


@pytest.fixture
def lock(path: str) -> Iterator[FileLock]:
    lock = FileLock(path)
    yield lock
    lock.close()


HOLD = """
import sys
from taskqueue.database.filelock import FileLock
lock = FileLock(sys.argv[1])
assert lock.acquire(5)
print("held", flush=True)
sys.stdin.read()
"""
WRITE = """
import sys, time
import sqlalchemy as sa
from taskqueue.database.engine import Database
database = Database("sqlite:///" + sys.argv[1])
insert = sa.insert(database.tables.tally)
print("ready", flush=True)
sys.stdin.readline()
end, turns = time.monotonic() + 1.5, 0
while time.monotonic() < end:
    with database.begin() as tx:
        tx.execute(insert, {"queue": sys.argv[2], "what": "x", "delta": 1})
    turns += 1
print(turns)
database.close()
"""


def test_two_tight_writers_share_the_turns(tmp_path):
    writers = [start(WRITE, tmp_path / "queue.db", name) for name in "ab"]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    a, b = (int(writer.communicate(timeout=20)[0]) for writer in writers)
    assert min(a, b) * 3 > max(a, b), (a, b)
    assert a + b > 100


def test_whoever_waits_longer_than_the_limit_is_told_and_takes_nothing(path, lock):
    with start(HOLD, path) as holder:
        assert holder.stdout.readline() == "held\n"
        before = time.monotonic()
        assert not lock.acquire(0.2)
        assert 0.15 < time.monotonic() - before < 2
        assert not lock.held
        assert write_lock_holders(f"{path}-turn") == [holder.pid]
        holder.communicate("")
        assert lock.acquire(5), "the lock that was waited for in vain is not taken by the one who gave up"
        lock.release()


def test_a_holder_that_was_killed_holds_nothing(path, lock):
    with start(HOLD, path) as holder:
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    assert lock.acquire(5)


def test_threads_exclude_each_other_like_processes(path):
    inside, most, lock_of = [], [], threading.local()

    def write() -> None:
        lock_of.mine = FileLock(path)
        for _ in range(50):
            assert lock_of.mine.acquire(10)
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            lock_of.mine.release()
        lock_of.mine.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert len(most) == 200


def test_waiting_costs_no_processor_time(path, lock):
    with start(HOLD, path) as holder:
        assert holder.stdout.readline() == "held\n"
        before = time.process_time()
        assert not lock.acquire(0.5)
        assert time.process_time() - before < 0.1
        holder.communicate("")


def test_a_forked_child_keeps_no_lock_alive(path):
    program = """
    import os, signal, sys
    from taskqueue.database.filelock import FileLock
    over, over_end = os.pipe()
    parent = os.fork()
    if not parent:
        os.close(over_end)
        lock = FileLock(sys.argv[1])
        assert lock.acquire(5)
        if not os.fork():
            os.read(over, 1)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    lock = FileLock(sys.argv[1])
    assert lock.acquire(5)
    """
    run(program, path)


def test_what_was_interrupted_while_it_locked_can_be_let_go(path, lock):
    other, moments = FileLock(path), 0

    def interrupted(moment: int) -> bool:
        def count(*_):
            nonlocal moment
            moment -= 1
            if moment < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            return count

        sys.settrace(count)
        try:
            lock.acquire(1)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return False

    while interrupted(moments):
        moments += 1
        lock.release()
        lock.release()
        assert other.acquire(0), f"moment {moments}"
        other.release()
    assert moments > 10
    other.close()


def test_side_files_are_as_private_as_the_database(path):
    os.chmod(path, 0o640)
    lock = FileLock(path)
    lock.close()
    for suffix in ("-lock", "-turn"):
        assert os.stat(path + suffix).st_mode & 0o777 == 0o640


def test_descriptors_are_not_inherited_by_other_programs(lock, path):
    assert lock.acquire(1)
    for name in os.listdir("/dev/fd"):
        try:
            target = os.readlink(f"/dev/fd/{name}")
        except OSError:
            continue
        if target.startswith(path):
            assert fcntl.fcntl(int(name), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
