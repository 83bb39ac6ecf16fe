"""The command `supervisor`, as people and programs use it, against a process that answers as a master does."""

from __future__ import annotations

import getpass
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.cli.program import COMMANDS
from tests.support.eventually import eventually
from tests.support.folder import GOOD, Folder
from tests.support.pretender import INSIDE, RunningPretender
from tests.support.programs import ROOT

pytestmark = pytest.mark.process
#: what a probe has no time to import
HEAVY = ("taskqueue", "click", "rich", "sqlalchemy", "msgspec", "psutil", "logging", "typing", "pathlib", "dataclasses")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path, program="supervisor")
    made.configure(GOOD + '[supervisor]\ncontrol_socket = "s.sock"\n')
    return made


@pytest.fixture
def master(folder: Folder) -> Iterator[RunningPretender]:
    running = RunningPretender(folder.path / "s.sock")
    yield running
    if running.process.returncode is None:
        running.stop()


class Screen:
    """A command in a terminal of its own."""

    def __init__(self, folder: Folder, *args: str) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder.path)
            os.environ |= {
                "PYTHONPATH": str(ROOT),
                "TASKQUEUE_CONFIG": "taskqueue.toml",
                "TERM": "xterm",
                "COLUMNS": "120",
            }
            os.execv(sys.executable, [sys.executable, "-m", "supervisor", *args])
        self.seen = ""

    def read(self) -> str:
        """What has been written there by now."""
        while select.select([self._fd], [], [], 0)[0]:
            try:
                found = os.read(self._fd, 65_536)
            except OSError:  # its last user has gone
                break
            if not found:
                break
            self.seen += found.decode()
        return self.seen

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def code(self) -> int:
        """The exit code; what was written until then is in `seen`."""
        found: list[int] = []

        def ended() -> bool:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            found.append(status)
            return bool(pid)

        eventually(ended, what=f"the end of the command, after {self.seen!r}")
        self.read()
        os.close(self._fd)
        return os.waitstatus_to_exitcode(found[-1])


def plain(text: str) -> str:
    """Without what moves the cursor or sets a colour."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text)


def test_a_pipe_gets_a_table_that_programs_can_cut(folder, master):
    ended = folder.run("status")
    titles, *lines = [line.split("\t") for line in ended.out.splitlines()]
    assert (ended.code, ended.err) == (0, "")
    assert titles[:3] == ["Worker", "State", "Pid"]
    assert [line[0] for line in lines] == ["mail/0", "mail/1", "mixed/0", "keeper/0"]
    assert {len(line) for line in lines} == {len(titles)}


def test_a_program_gets_json(folder, master):
    ended = folder.run("status", "--json")
    found = json.loads(ended.out)
    assert (ended.code, ended.err, found["degraded"], found["host"]) == (0, "", False, "web-1")
    assert found["started_at"] == "2026-01-01T00:00:00.000000Z"
    assert found["pools"][0]["slots"][0]["task_age"] == 3.2


def test_a_file_name_that_is_no_text_is_shown_as_its_bytes(folder):
    odd = "made = made_up(config='/\\udcff'); made_up = lambda: made"
    master = RunningPretender(folder.path / "s.sock", first=odd)
    assert json.loads(folder.run("status", "--json").out)["config"] == r"/\udcff"
    screen = Screen(folder, "status")
    assert screen.code() == 0
    assert r"/\udcff" in screen.seen
    master.stop()


def test_a_person_gets_a_picture(folder, master):
    screen = Screen(folder, "status")
    assert screen.code() == 0
    assert "\x1b[1mweb-1" in screen.seen
    head, _, titles, mail, first, *_ = plain(screen.seen).splitlines()
    assert head.startswith("web-1  running  3 of 3 workers up")
    assert titles.split()[:3] == ["Worker", "State", "Pid"]
    assert mail.split() == ["mail", "2", "of", "2", "up"]
    assert first.split()[:3] == ["mail/0", "running", "4712"]


def test_a_degraded_one_is_exit_code_1(folder, master):
    assert folder.run("scale", "mail", "3").out == "mail: 3 workers\n"
    ended = folder.run("status")
    assert (ended.code, ended.err) == (1, "")
    assert json.loads(folder.run("status", "--json").out)["degraded"] is True


@pytest.mark.parametrize("command", ["status", "ping", "pause", "reload", "stop", "restart"])
def test_none_that_runs_is_exit_code_3(folder, command):
    said = folder.refused(command, code=3)
    assert said.startswith(f"{folder.path}/s.sock: the supervisor is not running (there is no such socket); start it")


def test_orders_are_given_and_their_answers_shown(folder, master):
    by = f"{getpass.getuser()} (uid {os.getuid()})"
    assert folder.run("pause").out == f"paused by {by}\n"
    paused = json.loads(folder.run("status", "--json").out)["paused"]
    assert paused == [{"scope": "host", "by": by, "since": "2026-01-01T00:00:00.000000Z"}]
    ended = folder.run("status")
    assert ended.err.startswith(f"host paused by {by} ")
    assert folder.run("resume").out == "goes on\n"
    assert folder.run("pause", "mail/0").code == 0
    assert folder.run("restart").out == "restarting all\n"


def test_what_is_refused_is_said_in_a_line(folder, master):
    assert folder.refused("pause", "mial", code=1) == "no pool 'mial', did you mean 'mail'?"
    assert folder.refused("reload", code=1) == "reload refused: postgresql://shop:***@db/shop does not answer"
    assert folder.refused("scale", "mail", "many", code=2).startswith("invalid value for 'N'")
    assert folder.refused("scale", "mail", "1001", code=2).startswith("invalid value for 'N': 1001 is not in the range")
    assert "did you mean 'status'?" in folder.refused("statsu", code=2)
    assert INSIDE not in folder.run("pause", "bug").err


def test_an_answer_moves_no_cursor(folder, master):
    assert folder.run("restart", "mail").out == "\\x1b[31mrestarting\n"


def test_the_socket_can_be_named_itself(folder, master):
    folder.configure("x = [")
    assert folder.run("ping").code == 78
    for args in (("--socket", str(master.path)), (f"--socket={master.path}",)):
        assert folder.run("ping", *args).out == f"alive, pid {master.pid}\n"
    assert folder.run("status", "--socket", str(master.path)).code == 0


def test_a_mistake_in_the_file_locks_nobody_out(folder, master):
    folder.configure(GOOD + 'wieght = 3\n[supervisor]\ncontrol_socket = "s.sock"\n')
    assert folder.run("status").code == 0
    assert folder.run("stop", "--now").out == "stopped\n"


def test_a_probe_imports_next_to_nothing(folder, master):
    program = (
        "import sys; sys.argv = ['supervisor', 'ping', *sys.argv[1:]]\n"
        "from supervisor.cli import main\n"
        "code = main()\n"
        f"print(code, *(name for name in {HEAVY} if name in sys.modules))"
    )
    for args, allowed in ((["--socket", "s.sock"], set()), (["--config", "taskqueue.toml"], {"typing", "pathlib"})):
        ran = subprocess.run(
            [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {[str(ROOT), *sys.path]!r}\n{program}", *args],
            cwd=folder.path,
            capture_output=True,
            text=True,
        )
        line, counted = ran.stdout.splitlines()
        assert line == f"alive, pid {master.pid}"
        code, *heavy = counted.split()
        assert code == "0"
        assert set(heavy) <= allowed


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("--timeout", "2"), 0),
        (("--timeout", "500ms"), 0),
        (("--timeout", "soon"), 2),
        (("--timeout=inf",), 2),
        (("--socket",), 2),
        (("more",), 2),
        (("--help",), 0),
        (("--set", "supervisor.control_socket=none.sock"), 3),
        (("--config", "none.toml"), 78),
    ],
)
def test_a_ping_of_any_form_is_understood(folder, master, args, code):
    ended = folder.run("ping", *args)
    assert ended.code == code, ended
    assert "Traceback" not in ended.err


def test_a_ping_of_one_that_is_frozen_ends_in_time(folder, master):
    master.process.send_signal(signal.SIGSTOP)
    said = folder.refused("ping", "--timeout", "0.3", code=1)
    assert "the supervisor does not answer within 0.3 s" in said


def test_stop_waits_until_the_process_is_gone(folder, master):
    with folder.start("stop") as stopping:
        eventually(lambda: "stopping" in folder.run("status", "--json").out, what="the order")
        assert stopping.poll() is None
        master.process.terminate()
        out, err = stopping.communicate(timeout=20)
    assert (stopping.returncode, out, err) == (0, "stopped\n", "")
    assert master.process.wait(0.1) == 0, "it was gone before the command was"
    master.process.communicate()


def test_stop_now_is_now(folder, master):
    assert folder.run("stop", "--now") == (0, "stopped\n", "")
    master.process.communicate(timeout=20)
    assert master.process.returncode == 0


def test_stop_does_not_wait_for_ever_if_told_so(folder, master):
    said = folder.refused("stop", "--timeout", "100ms", code=1)
    assert said == (
        f"{master.path}: the supervisor is still there after 0.1 s, and still stopping; `supervisor status` shows what "
        "it waits for, `supervisor stop --now` ends it"
    )
    assert folder.run("stop", "--no-wait") == (0, "stopping\n", "")


def test_a_person_sees_what_a_stop_waits_for_and_may_leave(folder, master):
    screen = Screen(folder, "stop")
    eventually(lambda: "stopping: 3 workers left; mail/0 has run shop.tasks:mail for 3.2 s" in screen.read())
    screen.type(b"\x03")
    assert screen.code() == 130
    assert json.loads(folder.run("status", "--json").out)["state"] == "stopping"


def test_a_watch_draws_in_place_and_ends_by_ctrl_c_with_exit_code_0(folder, master):
    screen = Screen(folder, "status", "--watch")
    eventually(lambda: "3 of 3 workers up" in screen.read())
    folder.run("scale", "mail", "7")
    eventually(lambda: "3 of 8 workers up" in screen.read())
    screen.type(b"\x03")
    assert screen.code() == 0
    assert screen.seen.count("\x1b[?1049h") == screen.seen.count("\x1b[?1049l") == 1
    assert "3 of 8 workers up" in screen.seen.rpartition("\x1b[?1049l")[2], "what was seen last stays"
    assert "Traceback" not in screen.seen


def test_a_watch_leaves_the_terminal_as_it_was_when_it_is_told_to_go(folder, master):
    screen = Screen(folder, "status", "--watch")
    eventually(lambda: "3 of 3 workers up" in screen.read())
    os.kill(screen.pid, signal.SIGTERM)
    assert screen.code() == 0
    assert screen.seen.count("\x1b[?1049h") == screen.seen.count("\x1b[?1049l") == 1


def test_who_watches_sees_it_go_and_come_back(folder, master):
    screen = Screen(folder, "status", "--watch")
    eventually(lambda: "3 of 3 workers up" in screen.read())
    master.stop()
    eventually(lambda: "the supervisor is not running" in screen.read())
    before = len(screen.seen)
    again = RunningPretender(master.path)
    eventually(lambda: "3 of 3 workers up" in screen.read()[before:])
    screen.type(b"\x03")
    assert screen.code() == 0
    again.stop()


def test_a_watch_of_none_is_exit_code_3(folder):
    folder.refused("status", "--watch", code=3)


def test_a_program_can_watch_a_line_each_second(folder, master):
    with folder.start("status", "--watch", "--json") as watching:
        assert watching.stdout is not None
        for _ in range(2):
            assert json.loads(watching.stdout.readline())["host"] == "web-1"
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=20)
    assert (watching.returncode, err) == (0, "")


def test_a_reader_that_went_away_is_no_error(folder, master):
    for args in (("status", "--watch"), ("ping",), ("status",)):
        reader, writer = os.pipe()
        os.close(reader)
        ran = subprocess.run(
            [sys.executable, "-m", "supervisor", *args, "--socket", str(master.path)],
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
        )
        os.close(writer)
        assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(folder, command):
    ended = folder.run(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"Usage: supervisor {command}" in ended.out
    assert f"  supervisor {command}" in ended.out.split("Examples:")[1]


def test_check_says_what_would_run(folder):
    folder.configure(
        GOOD + "workers = 3\n[queues.mail]\nworkers = 0\n[queues.a]\n[queues.b]\n"
        '[brokers.now]\nurl = "memory://"\n[queues.instant]\nbroker = "now"\n[queue_defaults]\nbroker = "main"\n'
        '[pools.both]\nqueues = ["a", "b"]\nworkers = 2\nselector = "strict"\n'
    )
    ended = folder.run("check")
    assert ended.code == 0, ended
    lines = ended.out.splitlines()
    assert lines[1:5] == [
        "ok  workers: 5, and the keeper",
        "      default: 3 workers",
        "      both: 2 workers for a, b (strict)",
        f"ok  control socket: {folder.path}/var/supervisor.sock",
    ]
    assert "ok  modules: tests.support.errands; tasks:" in lines
    assert ended.err == (
        "supervisor: warning: no worker of this host serves the queue 'mail'; give it `workers`, or leave it to other "
        "hosts\n"
    )


def test_check_refuses_what_can_never_work(folder):
    folder.configure(GOOD + f'[supervisor]\ncontrol_socket = "/run/{"x" * 120}"\n')
    ended = folder.run("check")
    assert ended.code == 78
    assert "NO  control socket" in ended.out
    assert "the path has 125 bytes" in ended.err
    folder.configure(GOOD + "wieght = 3\n")
    assert "did you mean 'weight'?" in folder.refused("check", code=78)
