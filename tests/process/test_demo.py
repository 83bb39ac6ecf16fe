from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.eventually import eventually

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]
FILES = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that take a while each, so that a worker can be caught at work; some have odd names."""
    folder, noise = tmp_path / "files", random.Random(1)
    (folder / "below").mkdir(parents=True)
    for number in range(FILES - 4):
        (folder / "below" / f"{number}.bin").write_bytes(noise.randbytes(1_000_000))
    for name in (b"two\nlines", b"\xff.bin", b"100%.bin", b"empty"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"" if name == b"empty" else name * 1000)
    os.mkfifo(folder / "pipe")
    return folder


def demo(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "taskqueue", "demo", *map(str, args)]


def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(demo(*args), capture_output=True, text=True, timeout=110)


def processes(config: Path) -> list[psutil.Process]:
    """The workers of that configuration that are alive."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if str(config) in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def test_each_file_is_counted_once_though_a_worker_is_killed(folder: Path, tmp_path: Path) -> None:
    ended = run(folder, "--json", "--keep", tmp_path / "kept")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout)
    assert told["problems"] == []
    assert (told["files"], told["counted"], told["unreadable"]) == (FILES, FILES, {})
    assert told["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert told["parent_status"] == "completed"
    # One more than files, or two: a task that had ended, but whose report died with its worker, has started twice too.
    assert told["attempts"] >= FILES + 1
    (again,) = told["again"]
    assert (again["attempt"], again["cause"]) == (1, "crash")
    assert "killed with SIGKILL" in ended.stderr
    assert "takes its place" in ended.stderr
    assert "was counted exactly once" in ended.stderr
    assert processes(tmp_path / "kept" / "config" / "taskqueue.toml") == []
    assert (tmp_path / "kept" / "var" / "taskqueue.db").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_in_the_middle_it_leaves_no_process_behind(folder: Path, tmp_path: Path, number: int) -> None:
    config = tmp_path / "kept" / "config" / "taskqueue.toml"
    with subprocess.Popen(
        demo(folder, "--keep", tmp_path / "kept"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as program:
        eventually(lambda: len(processes(config)) == 3, what="three workers")
        program.send_signal(number)
        assert program.wait(20) == 130
        assert program.stderr.read().splitlines()[0] == "interrupted: the workers were ended"
    assert processes(config) == []


def test_an_empty_folder_is_said_in_a_line(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "has no files" in ended.stdout


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    ended = run(tmp_path / "nowhere")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1
    assert "nowhere" in ended.stderr


def test_a_folder_that_is_in_use_keeps_what_it_has(folder: Path, tmp_path: Path) -> None:
    ended = run(folder, "--keep", tmp_path)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "is not empty" in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files"]
