"""What is forked for the tests is a process like another one: all else rests on that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import forked
from tests.support.eventually import eventually
from tests.support.forked import ROOT, Forked, Preference

pytestmark = [pytest.mark.process, pytest.mark.skipif(not forked.CAN_FORK, reason="nothing is forked there")]
PROGRAM = "tests.support.facts"


@pytest.fixture
def both(tmp_path: Path) -> Callable[..., list[Any]]:
    """Runs it both ways: what each said, and how it ended."""

    def run(*args: str, **variables: str) -> list[Any]:
        found = []
        for fresh in (True, False):
            Preference.fresh = fresh
            environment = dict(os.environ, PYTHONPATH=str(ROOT), **variables)
            code, out, err = forked.run(PROGRAM, *args, environment=environment, cwd=tmp_path)
            found.append((code, json.loads(out), err.splitlines()[-1:]))
        return found

    return run


def told(found: tuple[int, dict[str, Any], list[str]]) -> dict[str, Any]:
    _, facts, _ = found
    # Its output goes into a file of its own.
    return facts | {"streams": [name for name in facts["streams"] if "/dev/" in name]}


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_it_finds_what_a_fresh_one_finds(both, umask):
    before = os.umask(umask)
    try:
        fresh, other = both("one", "two words", TZ="Asia/Tokyo", GREETING="grüezi")
    finally:
        os.umask(before)
    assert told(fresh) == told(other)
    assert told(other)["umask"] == umask


@pytest.mark.parametrize("args", [("exit", "0"), ("exit", "78"), ("raise", "no good")])
def test_it_ends_as_a_fresh_one_does(both, args):
    fresh, other = both(*args)
    assert (fresh[0], fresh[2]) == (other[0], other[2])
    assert fresh[0] == {"raise": 1}.get(args[0]) or fresh[0] == int(args[1])


@pytest.fixture
def waiting() -> Forked:
    with tempfile.TemporaryFile() as out:
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        fds = {"out": out.fileno(), "err": out.fileno()}
        process = forked.start(PROGRAM, "wait", environment=environment, new_session=True, **fds)
        assert isinstance(process, Forked)
        eventually(lambda: os.fstat(out.fileno()).st_size, what="its facts")
        assert json.loads(os.pread(out.fileno(), 1 << 20, 0))["leads"] == [True, True]
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_and_is_told(waiting, number):
    assert waiting.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.01)
    waiting.send_signal(number)
    assert waiting.wait(20) == -number
    assert waiting.poll() == -number
    waiting.kill()  # it is gone, and nobody else is hit


def test_one_with_an_environment_for_its_interpreter_is_fresh(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('here')")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    _, out, _ = forked.run(PROGRAM, environment=environment, cwd=tmp_path)
    assert out.startswith("here\n")
