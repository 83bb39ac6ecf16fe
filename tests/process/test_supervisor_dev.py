"""`supervisor run --dev`: starts anew when a source changes, ends at Ctrl-C, leaves no process.

A stand-in takes the supervisor's place: what is watched here is the one who starts it.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.programs import ROOT

pytestmark = pytest.mark.process

CONFIG = """
[app]
modules = ["shop"]
[brokers.main]
url = "sqlite:///var/shop.db"
[queues.default]
workers = 4
[logging]
format = "json"
"""
#: writes down its start with its arguments, each signal and its end; TERM and INT end it, unless a file says otherwise
STAND_IN = """
    import os, pathlib, signal, sys

    def say(*words):
        with open("ledger", "a") as ledger:
            print(*words, file=ledger, flush=True)

    def leave(number, _frame):
        say("heard", signal.Signals(number).name)
        if not pathlib.Path("stubborn").exists():
            say("ended")
            os._exit(0)

    def heard(number, _frame):
        say("heard", signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, leave)
    signal.signal(signal.SIGUSR2, heard)
    say("start", os.getpid(), *sys.argv[1:])
    source = pathlib.Path("shop.py").read_text()
    exec(compile(source, "shop.py", "exec"))
    say("ready", os.getpgid(0) == os.getpid(), sys.stdin.read() == "")
    while True:
        signal.pause()
"""
DEVELOPER = """
    import sys
    from supervisor import dev
    dev.MARGIN = 0.5  # the stand-in has no workers to wait for
    sys.exit(dev.run(sets=sys.argv[2:], options=["--log-level", "debug"], program=[sys.executable, sys.argv[1]]))
"""
ON_A_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"


class Developer:
    """One who has `supervisor run --dev` running in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger"
        self.said = folder / "said"
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "config").mkdir()
        (folder / "config/taskqueue.toml").write_text(CONFIG)
        (folder / "stand_in.py").write_text(textwrap.dedent(STAND_IN))
        self.save("shop.py", "")

    def save(self, name: str, text: str) -> None:
        """As an editor does it: another file takes the place."""
        new = self.folder / f".{name.replace('/', '-')}.new"
        new.write_text(text)
        new.replace(self.folder / name)

    def start(self, *sets: str, terminal: int | None = None) -> None:
        program = textwrap.dedent(DEVELOPER)
        environ = {key: value for key, value in os.environ.items() if key != "TASKQUEUE_CONFIG"}
        with self.said.open("wb") as said:
            out = said if terminal is None else terminal
            self.process = subprocess.Popen(
                [sys.executable, "-c", (ON_A_TERMINAL if terminal else "") + program, "stand_in.py", *sets],
                cwd=self.folder,
                env=environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def lines(self, word: str = "") -> list[str]:
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return [line for line in lines if line.startswith(word)]

    def ready(self, times: int = 1) -> int:
        """Wait until the program is ready so many times; its process id."""
        eventually(lambda: len(self.lines("ready")) >= times, what=f"start number {times}")
        return int(self.lines("start")[-1].split()[1])

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def ends(self) -> int:
        assert self.process is not None
        return self.process.wait(20)

    def eventually_says(self, words: str) -> None:
        eventually(lambda: words in self.said.read_text(), what=f"{words!r}")

    def close(self) -> None:
        pids = [int(line.split()[1]) for line in self.lines("start")]
        try:
            assert [pid for pid in pids if alive(pid)] == [], "a process was left"
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
                self.process.wait(10)


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture
def developer(tmp_path: Path) -> Iterator[Developer]:
    opened = Developer(tmp_path)
    yield opened
    opened.close()


def test_it_starts_the_supervisor_with_one_worker_a_pool_and_the_configuration_s_store(developer):
    developer.start("app.enqueue_timeout=3", "queues.default.workers=2")
    developer.ready()
    developer.send(signal.SIGTERM)

    assert developer.ends() == 0
    given = developer.lines("start")[0].split()[2:]
    assert given == [
        *("--config", "config/taskqueue.toml"),
        *("--set", "queues.default.workers=1"),
        *("--set", "supervisor.grace=5"),
        *("--set", "app.enqueue_timeout=3"),
        *("--set", "queues.default.workers=2"),
        *("--log-level", "debug"),
    ]
    assert developer.lines("ready") == ["ready True True"]
    assert f"its stores sqlite:///{developer.folder}/var/shop.db" in developer.said.read_text()


def test_a_saved_source_starts_it_anew_once_the_old_one_has_ended(developer):
    developer.start()
    first = developer.ready()
    developer.save("shop.py", "say('version 2')")
    second = developer.ready(2)

    assert first != second
    assert [line.split()[0] for line in developer.lines()] == [
        *("start", "ready", "heard", "ended"),
        *("start", "version", "ready"),
    ]
    assert "something changed: starting anew" in developer.said.read_text()
    developer.send(signal.SIGINT)
    assert developer.ends() == 0


def test_a_changed_configuration_counts_and_other_files_do_not(developer):
    developer.start()
    developer.ready()
    (developer.folder / "notes.txt").write_text("x")
    (developer.folder / "var").mkdir(exist_ok=True)
    (developer.folder / "var/shop.db").write_text("x")
    developer.save("config/taskqueue.toml", CONFIG.replace("workers = 4", "workers = 1"))
    developer.ready(2)
    developer.send(signal.SIGTERM)

    assert developer.ends() == 0
    assert len(developer.lines("start")) == 2
    assert "queues.default.workers=1" not in developer.lines("start")[1]


def test_what_does_not_start_is_waited_for_until_it_is_mended(developer):
    developer.save("shop.py", "raise SystemExit(78)")
    developer.start()
    developer.eventually_says("ended with 78; waiting for a change")
    developer.save("shop.py", "")
    developer.ready()
    developer.send(signal.SIGTERM)
    assert developer.ends() == 0


def test_a_configuration_that_breaks_is_told_and_waited_for(developer):
    developer.start()
    developer.ready()
    developer.save("config/taskqueue.toml", CONFIG + "levl = 1\n[pols]")
    developer.eventually_says("supervisor: waiting for a change")
    said = developer.said.read_text()
    assert "supervisor: config/taskqueue.toml [logging]: unknown key 'levl', did you mean 'level'?\n" in said
    assert "supervisor: config/taskqueue.toml: unknown table 'pols', did you mean 'pools'?\n" in said
    developer.save("config/taskqueue.toml", CONFIG)
    developer.ready(2)
    developer.send(signal.SIGTERM)
    assert developer.ends() == 0


def test_without_anything_running_ctrl_c_ends_it_too(developer):
    developer.save("shop.py", "raise SystemExit(1)")
    developer.start()
    developer.eventually_says("ended with 1; waiting for a change")
    developer.send(signal.SIGINT)
    assert developer.ends() == 0


def test_a_supervisor_that_was_told_to_stop_ends_it(developer):
    """`supervisor stop` in another shell."""
    developer.start()
    os.kill(developer.ready(), signal.SIGTERM)
    assert developer.ends() == 0


def test_pause_and_resume_are_passed_on(developer):
    developer.start()
    developer.ready()
    developer.send(signal.SIGUSR2)
    eventually(lambda: developer.lines("heard SIGUSR2"), what="the pause")
    developer.send(signal.SIGCONT)
    developer.send(signal.SIGHUP)
    assert developer.ends() == 0
    assert developer.lines("heard SIG")[-1] == "heard SIGTERM"


def test_what_does_not_leave_is_killed(developer):
    (developer.folder / "stubborn").touch()
    developer.start("supervisor.grace=0.2")
    first = developer.ready()
    developer.save("shop.py", "say('version 2')")
    developer.ready(2)

    assert not alive(first)
    assert "did not leave within 0.7 s: killing it" in developer.said.read_text()
    developer.send(signal.SIGTERM)
    assert developer.ends() == 128 + signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a program that its parent died")
def test_if_it_is_killed_itself_the_supervisor_is_told_to_stop(developer):
    developer.start()
    program = developer.ready()
    developer.send(signal.SIGKILL)
    developer.ends()
    eventually(lambda: not alive(program), what="the program's end")
    assert developer.lines("heard") == ["heard SIGTERM"]


def test_ctrl_c_in_a_terminal_is_heard_once(developer):
    ours, theirs = pty.openpty()
    developer.start(terminal=theirs)
    os.close(theirs)
    developer.ready()
    assert "logging.format=text" in developer.lines("start")[0]
    os.write(ours, b"\x03")

    assert developer.ends() == 0
    assert developer.lines("heard") == ["heard SIGINT"]
    os.close(ours)


def test_a_terminal_that_closes_ends_it(developer):
    ours, theirs = pty.openpty()
    developer.start(terminal=theirs)
    os.close(theirs)
    developer.ready()
    os.close(ours)

    assert developer.ends() == 0
    assert developer.lines("heard") == ["heard SIGTERM"]


class TestWithoutConfiguration:
    @pytest.fixture(autouse=True)
    def _none(self, developer):
        (developer.folder / "config/taskqueue.toml").unlink()

    def test_a_module_of_tasks_is_enough(self, developer):
        (developer.folder / "tasks.py").touch()
        developer.start()
        developer.ready()
        developer.send(signal.SIGTERM)

        assert developer.ends() == 0
        assert developer.lines("start")[0].split()[2:4] == ["--config", "var/dev.toml"]
        assert f"sqlite:///{developer.folder}/var/dev.db" in developer.said.read_text()
        assert "export TASKQUEUE_CONFIG=var/dev.toml" in developer.said.read_text()

    def test_what_it_wrote_before_is_kept(self, developer):
        (developer.folder / "tasks").mkdir()
        (developer.folder / "var").mkdir()
        (developer.folder / "var/dev.toml").write_text(CONFIG)
        developer.start()
        developer.ready()
        developer.send(signal.SIGTERM)
        assert developer.ends() == 0
        assert (developer.folder / "var/dev.toml").read_text() == CONFIG

    def test_where_it_cannot_write_one_it_says_so(self, developer):
        (developer.folder / "tasks.py").touch()
        (developer.folder / "var").touch()
        developer.start()

        assert developer.ends() == 1
        assert "TaskQueueError: var is no folder: move it away" in developer.said.read_text()

    def test_without_tasks_it_says_how_to_begin(self, developer):
        developer.start()

        assert developer.ends() == 1
        assert "no configuration, and no tasks.py here: `supervisor init` writes both" in developer.said.read_text()
