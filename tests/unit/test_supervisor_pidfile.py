"""One master for each pidfile."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from supervisor.pidfile import AlreadyRunning, Pidfile
from taskqueue.errors import TaskQueueError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "supervisor.pid"


def test_who_has_it_stands_in_it_and_its_folder_is_made(path):
    pidfile = Pidfile(path)
    pidfile.take()
    assert path.read_text() == f"{os.getpid()}\n"
    assert not os.get_inheritable(pidfile.fd)
    pidfile.leave()
    assert not path.exists()
    pidfile.leave()


def test_a_second_one_is_refused_by_name_and_the_first_is_untouched(path):
    first = Pidfile(path)
    first.take()
    opened = len(os.listdir("/proc/self/fd"))
    second = Pidfile(path)
    with pytest.raises(AlreadyRunning, match=rf"a supervisor runs already \(pid {os.getpid()}\); stop it with"):
        second.take()
    second.leave()
    assert len(os.listdir("/proc/self/fd")) == opened
    assert path.read_text() == f"{os.getpid()}\n"
    first.leave()


@pytest.mark.parametrize("left", ["4711\n", "999999999999999999999\n", "", "nonsense"])
def test_a_file_that_a_dead_one_left_is_taken_over(path, left):
    path.parent.mkdir()
    path.write_text(left)
    pidfile = Pidfile(path)
    pidfile.take()
    assert path.read_text() == f"{os.getpid()}\n"
    pidfile.leave()


def test_the_lock_ends_with_its_process_and_children_that_closed_it_do_not_hold_it(path):
    """R2 of a new master: orphans that drain are in nobody's way."""
    read, write = os.pipe()
    if not (pid := os.fork()):
        try:
            pidfile = Pidfile(path)
            pidfile.take()
            if not (child := os.fork()):
                os.close(pidfile.fd)
                os.write(write, b"!")
                signal.pause()
            os.write(write, f"{child}\n".encode())
            signal.pause()
        finally:
            os._exit(1)
    said = b""
    while b"!" not in said or b"\n" not in said:
        said += os.read(read, 32)
    orphan = int(said.replace(b"!", b""))
    try:
        with pytest.raises(AlreadyRunning):
            Pidfile(path).take()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.kill(orphan, 0)
        second = Pidfile(path)
        second.take()
        second.leave()
    finally:
        os.kill(orphan, signal.SIGKILL)
        os.close(read), os.close(write)


def test_a_file_of_somebody_else_by_now_is_not_removed(path):
    pidfile = Pidfile(path)
    pidfile.take()
    path.unlink()
    path.write_text("another's")
    pidfile.leave()
    assert path.read_text() == "another's"


def test_one_that_leaves_while_we_come_takes_our_file_with_it_and_we_make_another(path):
    first = Pidfile(path)
    first.take()

    class Late(Pidfile):
        looked = 0

        def _is_still(self, fd: int) -> bool:
            self.looked += 1
            if self.looked == 1:  # between our lock and our look
                path.unlink()
            return super()._is_still(fd)

    os.close(first.fd)
    late = Late(path)
    late.take()
    assert late.looked == 2
    assert path.read_text() == f"{os.getpid()}\n"
    late.leave()


def test_where_it_cannot_be_written_one_line_says_so(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "supervisor.pid", tmp_path):
        with pytest.raises(
            TaskQueueError, match=r"the pidfile cannot be written \(.*\); .*\[supervisor\] pidfile"
        ) as error:
            Pidfile(path).take()
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
