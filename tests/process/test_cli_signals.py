"""The command and what is round it: pipes, Ctrl-C, TERM, debugging, its installed name."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.folder import ADD, GOOD, Ended, Folder

pytestmark = pytest.mark.process


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_a_reader_that_went_away_is_no_error(folder):
    folder.add()
    for args in (("log", "list"), ("log", "list", "--json"), ("--help",)):
        with folder.start(*args) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.wait(20) == 141
            assert process.stderr.read() == ""


def interrupted(process: subprocess.Popen[str], begun: Callable[[], Any]) -> Ended:
    with process:
        eventually(begun, what="its begin")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    return Ended(process.returncode, out, err)


def test_ctrl_c_ends_the_wait_quietly_and_the_task_stays(folder):
    folder.run("init")
    process = folder.start("enqueue", ADD, "a=1", "--wait")
    assert process.stdout is not None
    ended = interrupted(process, process.stdout.readline)
    assert (ended.code, ended.out, ended.err.strip()) == (130, "", "")
    assert len(folder.ids()) == 1


def test_ctrl_c_ends_a_task_that_runs_here(folder):
    folder.configure(GOOD.replace("errands", "tasks"))
    ledger = folder.path / "ledger"
    ledger.touch()
    process = folder.start("run", "tests.support.tasks:until", "ledger=ledger", "file=never")
    ended = interrupted(process, ledger.read_text)
    assert (ended.code, ended.err) == (130, "")


def test_the_keeper_leaves_at_a_term(folder):
    folder.run("init")
    process = folder.start("keeper")
    assert process.stderr is not None
    assert "keeper started" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    with process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "keeper ended" in err


def test_a_traceback_is_shown_to_who_asks_for_it(folder):
    folder.configure(GOOD + "wieght = 3")
    ended = folder.run("init", "--debug")
    assert ended.code == 78
    assert "Traceback" in ended.err
    assert "did you mean 'weight'?" in ended.err.splitlines()[-1]


@pytest.mark.skipif(shutil.which("taskqueue", path=str(Path(sys.executable).parent)) is None, reason="not installed")
def test_the_command_is_the_same_as_the_module(folder):
    command = [str(Path(sys.executable).parent / "taskqueue"), "--version"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == folder.run("--version").out
