from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from taskqueue.demo.fleet import Fleet
from taskqueue.errors import TaskQueueError
from tests.support.eventually import eventually

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]
FILES = 80
ODD = (b"two\nlines", b"\xff.bin", b"100%.bin", b"empty")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that take a while each, so that a worker can be caught at work; some have odd names."""
    folder = tmp_path / "files"
    (folder / "below").mkdir(parents=True)
    first = folder / "below" / "0.bin"
    first.write_bytes(random.Random(1).randbytes(2_000_000))
    for number in range(1, FILES - len(ODD)):
        (folder / "below" / f"{number}.bin").hardlink_to(first)
    for name in ODD:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"" if name == b"empty" else name * 1000)
    os.mkfifo(folder / "pipe")
    return folder


def demo(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "taskqueue", "demo", *map(str, args)]


def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(demo(*args), capture_output=True, text=True, timeout=220)


def processes(place: Path) -> list[int]:
    """Those that write into the log there: the supervisor, its keeper, its workers. A zombie does no more."""
    return [pid for pid in psutil.pids() if _writes_into(pid, place / "supervisor.log")]


def _writes_into(pid: int, log: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/fd/2") == str(log)
    except OSError:
        return False


@pytest.fixture
def start(folder: Path, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """A demo that has come so far; its last lines are in `told`. Whatever it did, no process may be left."""
    place = tmp_path / "kept"
    with (tmp_path / "told").open("w") as told:
        program = subprocess.Popen(demo(folder, "--json", "--keep", place), stdout=subprocess.DEVNULL, stderr=told)

    def start(phrase: str) -> subprocess.Popen[bytes]:
        eventually(lambda: phrase in (tmp_path / "told").read_text(), within=60, what=phrase)
        eventually(lambda: processes(place), what="a supervisor")
        return program

    try:
        yield start
        eventually(lambda: processes(place) == [], what="that nobody is left")
    finally:
        program.kill()
        program.wait()
        for pid in processes(place):
            os.kill(pid, signal.SIGKILL)


def test_each_file_is_counted_once_though_a_worker_is_killed_and_the_fleet_paused(folder, tmp_path):
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
    assert again["why"].startswith("killed by SIGKILL (worker ")
    assert told["paused_seconds"] >= 1
    shown = ended.stderr
    assert [phrase for phrase in STORY if phrase not in shown] == [], shown
    assert sorted(STORY, key=shown.index) == list(STORY)
    assert processes(tmp_path / "kept") == []
    assert (tmp_path / "kept" / "var" / "taskqueue.db").exists()


STORY = (
    "3 workers and a keeper ready after",
    "3 of 3 workers up",
    "died in the middle of below/",
    "took its place, ready",
    "and ran again",
    "its first attempt: crash, killed by SIGKILL",
    "kill -USR2: the fleet is paused at",
    "workers = 4 in the file and kill -HUP: default/3 (pid",
    "came, the other 3 stayed",
    "4 of 4 workers up",
    "host paused by signal",
    "the fleet goes on; nothing was started for",
    "4 workers have left, exit code 0",
    "was counted exactly once",
)


@pytest.mark.parametrize(
    ("phrase", "number"),
    [
        ("of 80 files", signal.SIGTERM),
        ("keeper ready", signal.SIGINT),
        ("died in the middle", signal.SIGTERM),
        ("is paused at", signal.SIGHUP),
    ],
)
def test_told_to_stop_at_any_step_it_leaves_no_process_behind(start, tmp_path, phrase, number):
    program = start(phrase)
    program.send_signal(number)
    assert program.wait(30) == 130
    told = (tmp_path / "told").read_text().splitlines()
    assert told[-2] == "interrupted: the supervisor and its workers were ended"


def test_a_supervisor_that_dies_is_told_in_a_line_and_leaves_no_worker_behind(start, tmp_path):
    program = start("keeper ready")
    os.kill(int((tmp_path / "kept" / "var" / "supervisor.pid").read_text()), signal.SIGKILL)
    assert program.wait(30) == 1
    said = [line for line in (tmp_path / "told").read_text().splitlines() if line.startswith("taskqueue: ")]
    assert len(said) == 1
    assert said[0].startswith("taskqueue: the supervisor was killed by SIGKILL; it said last: ")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a program that its parent was killed")
@pytest.mark.parametrize("phrase", ["keeper ready", "is paused at"])
def test_killed_itself_it_leaves_no_process_behind(start, phrase):
    start(phrase).kill()


def test_a_supervisor_that_cannot_start_is_told_with_what_it_said_last(tmp_path):
    config = tmp_path / "taskqueue.toml"
    config.write_text('[app]\nmodules = ["nowhere.to.be.found"]\n[brokers.main]\nurl = "sqlite:///a.db"\n')
    with Fleet(config, tmp_path / "supervisor.sock", tmp_path / "supervisor.log") as fleet:
        fleet.start()
        with pytest.raises(TaskQueueError, match=r"ended with exit code 78; it said last: .*nowhere") as caught:
            eventually(lambda: fleet.look().ready(1), within=30, what="an error")
    assert "\n" not in str(caught.value)


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
