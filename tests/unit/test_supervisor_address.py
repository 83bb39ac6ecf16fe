"""The file of the control socket: whose it is, and who may open it."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from pathlib import Path

import pytest

from supervisor.address import LONGEST_PATH, Address
from taskqueue.errors import ConfigurationError, TaskQueueError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var/s.sock"


def dead(path: Path) -> None:
    """What a supervisor leaves behind that was killed."""
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()


def test_only_its_owner_may_open_it_whatever_the_umask_and_the_umask_stays(path):
    before = os.umask(0)
    try:
        with Address(path).listen():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_the_socket_listens_and_does_not_block(path):
    with Address(path).listen() as listener:
        with pytest.raises(BlockingIOError):
            listener.accept()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            listener.accept()[0].close()


def test_what_a_dead_supervisor_left_is_replaced(path):
    dead(path)
    path.chmod(0o777)
    with Address(path).listen(), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_living_one_has_is_left_to_it(path):
    with Address(path).listen() as first:
        before = path.stat().st_ino
        with pytest.raises(TaskQueueError, match="another supervisor listens there; stop it first") as caught:
            Address(path).listen()
        assert not isinstance(caught.value, ConfigurationError)
        assert path.stat().st_ino == before
        first.accept()[0].close()


def test_a_living_one_that_is_too_busy_to_answer_is_left_alone_too(path):
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(str(path))
        with pytest.raises(TaskQueueError, match="another supervisor"):
            Address(path).listen()
        for client in waiting:
            client.close()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("/etc/hosts")])
def test_what_is_no_socket_is_not_touched(path, make):
    path.parent.mkdir()
    make(path)
    before = path.lstat()
    with pytest.raises(ConfigurationError, match="is there and is no socket; move it away"):
        Address(path).listen()
    assert path.lstat() == before


def test_a_path_that_is_too_long_is_refused_with_what_to_do(tmp_path):
    longest = tmp_path / ("x" * (LONGEST_PATH - len(str(tmp_path)) - 1))
    with Address(longest).listen():
        assert longest.is_socket()
    too_long = longest.with_name(longest.name + "x")
    with pytest.raises(ConfigurationError, match=rf"has {LONGEST_PATH + 1} bytes, and the system takes {LONGEST_PATH}"):
        Address(too_long).listen()
    assert not too_long.exists()


def test_bytes_are_counted_and_not_letters(tmp_path):
    with pytest.raises(ConfigurationError, match=rf"the system takes {LONGEST_PATH}"):
        Address(tmp_path / ("ä" * 55)).listen()


def test_a_folder_that_cannot_be_is_told_of(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="no socket can be made there .*; give this user write access to"):
        Address(tmp_path / "file/s.sock").listen()


def test_who_locks_the_folder_for_long_does_not_keep_it_from_starting(path):
    path.parent.mkdir()
    fd = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with Address(path).listen():
        assert path.is_socket()
    os.close(fd)


@pytest.mark.parametrize("attempt", range(5))
def test_of_several_that_start_at_once_beside_a_dead_one_one_has_the_socket(path, attempt):
    dead(path)
    (told, tell), (started, start), (released, release) = os.pipe(), os.pipe(), os.pipe()
    for _ in range(8):
        if os.fork() == 0:
            os.close(start)
            os.close(release)
            try:
                os.read(started, 1)
                listener = Address(path).listen()
                os.write(tell, b"1")
                os.read(released, 1)
                listener.close()
            except TaskQueueError:
                os.write(tell, b"0")
            finally:
                os._exit(0)
    os.close(start)
    found = b"".join(os.read(told, 1) for _ in range(8))
    os.close(release)
    for _ in range(8):
        os.wait()
    for fd in (told, tell, started, released):
        os.close(fd)
    assert sorted(found) == sorted(b"10000000")


def test_the_file_goes_with_its_socket(path):
    address = Address(path)
    with address.listen():
        address.remove()
        assert not path.exists()
        address.remove()


def test_the_file_of_a_successor_stays(path):
    address = Address(path)
    with address.listen():
        path.unlink()
        with Address(path).listen():
            address.remove()
            assert path.is_socket()


def test_the_file_stays_when_a_forked_child_lets_go(path):
    address = Address(path)
    with address.listen():
        if (child := os.fork()) == 0:
            try:
                address.remove()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert path.is_socket()
