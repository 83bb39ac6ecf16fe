"""R13: idle workers are woken through a FIFO a queue."""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskqueue.database.engine import Database
from taskqueue.database.wakeup import Bell, FifoWakeup


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
