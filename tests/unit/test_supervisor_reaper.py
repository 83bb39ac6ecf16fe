"""Reaping: all that have ended, each with what it left behind. Real processes."""

from __future__ import annotations

import os
import select
import signal

import pytest

from supervisor.reaper import reap
from supervisor.verdict import Exit


def ended(*how: int) -> list[int]:
    """Processes that have ended, each with that exit code, or by that signal if it is negative."""
    pids = []
    for one in how:
        if not (pid := os.fork()):
            if one < 0:
                os.kill(os.getpid(), -one)
            os._exit(one)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        pids.append(pid)
    return pids


def test_without_children_there_is_nobody_to_reap():
    assert list(reap()) == []


def test_who_lives_is_left_alone():
    if not (pid := os.fork()):
        signal.pause()
    try:
        assert list(reap()) == []
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        assert list(reap()) == []
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_twenty_at_once_are_reaped_with_how_they_ended():
    codes = [*range(15), -signal.SIGKILL, -signal.SIGTERM, -signal.SIGKILL, 75, 78]
    pids = ended(*codes)
    found = dict(reap())
    assert found == {
        pid: Exit(code=code) if code >= 0 else Exit(signal=-code) for pid, code in zip(pids, codes, strict=True)
    }
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_who_is_told_of_an_end_finds_its_number_still_taken():
    (pid,) = ended(3)
    for found, _ in reap():
        assert found == pid
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_a_dead_one_had_forked_goes_with_it():
    read, write = os.pipe()
    if not (pid := os.fork()):
        os.setpgid(0, 0)
        if not os.fork():
            os.close(read)
            signal.pause()
        os._exit(1)
    os.close(write)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not select.select([read], [], [], 0)[0]
    assert dict(reap()) == {pid: Exit(code=1)}
    assert os.read(read, 1) == b"", "its last holder is gone"
    os.close(read)
