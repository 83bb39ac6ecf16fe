"""R13: idle workers are woken through a FIFO a queue."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database.engine import Database
from taskqueue.database.wakeup import Bell, FifoWakeup
from taskqueue.message import Message
from tests.support.programs import run


@pytest.fixture
def wakeup(tmp_path: Path) -> FifoWakeup:
    (tmp_path / "queue.db").touch()
    return FifoWakeup(str(tmp_path / "queue.db"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/queue.db")
    yield database
    database.close()


def rings(bell: Bell, timeout: float = 0.0) -> bool:
    poll = select.poll()
    poll.register(bell.fileno(), select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def test_a_ring_wakes_who_listens(wakeup):
    with wakeup.listen("mail") as bell:
        assert not rings(bell)
        later = threading.Timer(0.05, wakeup.ring, ("mail",))
        later.start()
        assert rings(bell, timeout=10)
        bell.drain()
        assert not rings(bell), "and lets it sleep again, though the producer has left"
        later.join()


def test_a_ring_between_listening_and_sleeping_is_not_lost(wakeup):
    with wakeup.listen("mail") as bell:
        wakeup.ring("mail")
        assert rings(bell)


def test_a_ring_that_nobody_hears_is_no_error_and_leaves_nothing(wakeup, tmp_path):
    wakeup.ring("mail")
    assert [path.name for path in tmp_path.iterdir()] == ["queue.db"]
    with wakeup.listen("mail"):
        wakeup.ring("mail", 3)
    wakeup.ring("mail", 3)
    with wakeup.listen("mail") as bell:
        assert not rings(bell)


def test_as_many_are_woken_as_there_are_messages(wakeup):
    with wakeup.listen("mail") as first, wakeup.listen("mail") as second, wakeup.listen("mail") as third:
        wakeup.ring("mail", 2)
        assert rings(first)
        first.drain()
        assert rings(second)
        second.drain()
        assert not rings(third)
        third.drain()  # whoever comes too late is not held up


def test_a_queue_hears_only_its_own_bell(wakeup):
    with wakeup.listen("mail") as mail, wakeup.listen("mail/../news é" * 40) as other:
        wakeup.ring("mail/../news é" * 40)
        assert rings(other)
        assert not rings(mail)


def test_ringing_never_blocks(wakeup):
    with wakeup.listen("mail") as bell:
        for _ in range(1000):
            wakeup.ring("mail", 10**9)
        assert rings(bell)


def test_what_is_no_fifo_is_left_alone_and_the_bell_is_silent(wakeup):
    path = Path(wakeup.path("mail"))
    path.write_text("mine")
    with wakeup.listen("mail") as bell:
        wakeup.ring("mail")
        assert not rings(bell)
        bell.drain()
    assert path.read_text() == "mine"


def test_listening_leaves_no_descriptor_open(wakeup):
    def opened() -> int:
        return len(os.listdir("/dev/fd"))

    with wakeup.listen("mail"):
        pass
    before = opened()
    for _ in range(10):
        with wakeup.listen("mail"):
            wakeup.ring("mail")
    assert opened() == before
    assert stat.S_ISFIFO(os.stat(wakeup.path("mail")).st_mode)


def test_a_message_is_announced_once_it_is_committed(database):
    database.initialize()
    with database.wakeup.listen("mail") as bell:
        with pytest.raises(ZeroDivisionError), database.begin() as tx:
            database.wakeup.announce(tx, "mail")
            raise ZeroDivisionError
        with database.begin() as tx:
            database.wakeup.announce(tx, "mail")
            assert not rings(bell)
        assert rings(bell)


NAMES = [
    "mail",
    "Mail",
    "mail news",
    "mail%20news",
    "mail/news",
    "mail%2Fnews",
    "..",
    "../../etc/passwd",
    "-",
    "a-wake-b",
    "größe",
    "gro\N{COMBINING DIAERESIS}ße",
    "\N{INCOMING ENVELOPE}",
    "line\nfeed",
    "x" * 255,
    "x" * 254 + "y",
    "é" * 255,
    "é" * 254 + "e",
]


def test_any_name_of_a_queue_makes_a_file_of_its_own_beside_the_database(wakeup, tmp_path):
    with contextlib.ExitStack() as stack:
        bells = {name: stack.enter_context(wakeup.listen(name)) for name in NAMES}
        files = {path.name for path in tmp_path.iterdir()} - {"queue.db"}
        assert len(files) == len(NAMES)
        assert all(file.startswith("queue.db-wake-") and file.isascii() and file.isprintable() for file in files)
        for name in NAMES:
            wakeup.ring(name)
            assert [other for other, bell in bells.items() if rings(bell)] == [name]
            bells[name].drain()


@pytest.mark.parametrize(
    "make", [Path.mkdir, lambda path: path.symlink_to("/dev/null"), lambda path: path.touch(0o000)]
)
def test_whatever_stands_in_the_fifos_place_ringing_neither_blocks_nor_fails(wakeup, make):
    make(Path(wakeup.path("mail")))
    before = len(os.listdir("/dev/fd"))
    wakeup.ring("mail")
    with wakeup.listen("mail") as bell:
        wakeup.ring("mail")
        assert not rings(bell)
    assert len(os.listdir("/dev/fd")) == before


def test_a_fifo_of_a_listener_that_was_killed_is_used_again(wakeup, tmp_path):
    program = """
    import os, signal, sys
    from taskqueue.database.wakeup import FifoWakeup
    if not (pid := os.fork()):
        with FifoWakeup(sys.argv[1]).listen("mail"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    """
    run(program, tmp_path / "queue.db")
    assert Path(wakeup.path("mail")).exists()
    for _ in range(100):
        wakeup.ring("mail", 10**6)
    with wakeup.listen("mail") as bell:
        assert not rings(bell)
        wakeup.ring("mail")
        assert rings(bell)


def test_a_ring_while_listeners_come_and_go_is_no_error(wakeup):
    over = threading.Event()

    def ring() -> None:
        while not over.is_set():
            wakeup.ring("mail")

    producer = threading.Thread(target=ring)
    producer.start()
    for _ in range(300):
        with wakeup.listen("mail") as bell:
            bell.drain()
    over.set()
    producer.join()


# Waiting


@pytest.fixture
def broker(database: Database) -> RdsQueueBroker:
    database.initialize()
    return RdsQueueBroker(database, "mail")


def test_what_was_pushed_before_anybody_listened_is_found_without_a_ring(broker):
    broker.push([Message("a", b"")])
    assert broker.wait(30)


def test_a_push_at_any_moment_of_going_to_sleep_wakes(broker, database):
    """R13: listen, look, sleep. The push comes in the middle of the look, or a little later."""
    looked = threading.Event()

    class Slow(RdsQueueBroker):
        def ready(self) -> bool:
            found = super().ready()
            if not looked.is_set():
                looked.set()
                producer.join()  # it has pushed and rung before we sleep
            return found

    def push() -> None:
        looked.wait()
        broker.push([Message("a", b"")])

    producer = threading.Thread(target=push)
    producer.start()
    started = time.monotonic()
    assert Slow(database, "mail").wait(30)
    assert time.monotonic() - started < 10


def test_a_waiter_leaves_when_it_is_interrupted(broker):
    read, write = os.pipe()
    os.write(write, b"!")
    assert not broker.wait(30, interrupt=read)
    assert os.read(read, 1) == b"!", "the note is left to who gave the descriptor"
    later = threading.Timer(0.05, os.write, (write, b"!"))
    later.start()
    assert not broker.wait(30, interrupt=read)
    later.join()
    broker.push([Message("a", b"")])
    assert broker.wait(30, interrupt=read), "work goes before an interruption"
    os.close(read), os.close(write)


def test_waiting_leaves_no_descriptor_open(broker):
    broker.wait(0)
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        broker.wait(0)
    assert len(os.listdir("/dev/fd")) == before
