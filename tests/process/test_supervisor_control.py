"""The control socket in a process of its own: whatever clients do to it, the next one is answered at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from supervisor.cli.departure import Departure
from supervisor.client import EXIT_NOT_RUNNING, Connection, Unreachable, talk
from tests.support.eventually import eventually
from tests.support.pretender import INSIDE, RunningPretender
from tests.support.programs import ROOT

pytestmark = pytest.mark.process
PING = b'{"command": "ping"}\n'


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningPretender]]:
    """Starts such a process. At the end it must have nothing to say, and nothing of it may be left."""
    started: list[RunningPretender] = []

    def start(**options: Any) -> RunningPretender:
        started.append(RunningPretender(tmp_path / "s.sock", **options))
        return started[-1]

    yield start
    for pretender in started:
        if pretender.process.returncode is None:
            assert pretender.stop() == ""
            assert not pretender.path.exists()


@pytest.fixture
def master(start: Callable[..., RunningPretender]) -> RunningPretender:
    return start()


@pytest.fixture(scope="module")
def hardened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPretender]:
    """One that has lived through all the garbage of before."""
    pretender = RunningPretender(tmp_path_factory.mktemp("hardened") / "s.sock")
    yield pretender
    assert pretender.stop() == ""


def open_files(master: RunningPretender) -> int:
    return psutil.Process(master.pid).num_fds()


def connect(master: RunningPretender, sent: bytes = b"") -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(master.path))
    client.sendall(sent)
    return client


def answered(master: RunningPretender, **request: Any) -> dict[str, Any]:
    return talk(str(master.path), {"command": "ping"} | request)


def is_well(master: RunningPretender) -> bool:
    return answered(master) == {"ok": True} and answered(master, command="status")["snapshot"]["host"] == "web-1"


def test_only_its_owner_and_root_can_open_it(master):
    """P19."""
    assert stat.S_IMODE(master.path.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(master.path.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a second user")
def test_another_user_is_turned_away_with_what_to_do(master):
    """P19."""
    for folder in (*master.path.parents,):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o711)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgid(65_534)
            os.setuid(65_534)
            answered(master)
        except Unreachable as error:
            os.write(writer, f"{error.exit_code} {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as said:
        assert said.read() == f"1 {master.path}: no permission; run this as the user 'root', or as root"


def test_a_second_one_leaves_the_first_its_socket(master):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.pretender", str(master.path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "another supervisor listens there; stop it first" in ran.stderr.splitlines()[-1]
    assert is_well(master)


def test_the_socket_of_one_that_was_killed_is_taken_over(start):
    first = start()
    first.process.kill()
    first.process.communicate(timeout=20)
    with pytest.raises(Unreachable, match="nobody listens at its socket") as caught:
        answered(first)
    assert caught.value.exit_code == EXIT_NOT_RUNNING
    assert is_well(start())


GARBAGE = {
    "half a line": b'{"command": "sta',
    "no JSON": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "binary": bytes(range(256)) * 20 + b"\n",
    "zeros": b"\0" * 10_000 + b"\n",
    "wrong types": b'{"command": 5}\n[]\n"status"\n3\nnull\n{"command": {"a": []}}\n',
    "deep nesting": b'{"command": "pause", "target": ' + b"[" * 30_000 + b"]" * 30_000 + b"}\n",
    "empty lines": b"\n" * 500,
    "a long name": b'{"command": "' + b"a" * 60_000 + b'"}\n',
    "lone surrogates": b'{"command": "\\ud800"}\n',
    "a huge number": b'{"command": "scale", "target": "mail", "workers": ' + b"9" * 5000 + b"}\n",
}


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE)
def test_garbage_harms_nobody(hardened, sent):
    before = open_files(hardened)
    client = connect(hardened, sent)
    assert is_well(hardened)
    client.shutdown(socket.SHUT_WR)
    received = b""
    while found := client.recv(65_536):
        received += found
    client.close()
    for line in received.splitlines():
        answer = json.loads(line)
        assert (answer["ok"], len(answer["error"]) < 300) == (False, True)
    assert is_well(hardened)
    eventually(lambda: open_files(hardened) <= before, what="the end of the connection")


def test_a_line_of_ten_megabytes_is_refused_and_takes_no_memory(master):
    process = psutil.Process(master.pid)
    before = process.memory_info().rss
    client = connect(master)
    with pytest.raises(OSError):
        client.sendall(b"x" * 10_000_000 + b"\n")
    assert json.loads(client.recv(1000))["error"] == "no request: the line has more than 65,536 bytes"
    client.close()
    assert process.memory_info().rss - before < 2_000_000
    assert is_well(master)


def test_a_client_that_sends_and_never_reads_takes_no_memory_and_holds_up_nobody(master):
    process = psutil.Process(master.pid)
    client = connect(master)
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        for _ in range(100_000):
            client.sendall(b'{"command": "status"}\n')
    before = process.memory_info().rss
    assert is_well(master)
    assert process.memory_info().rss - before < 2_000_000
    assert process.cpu_percent(0.3) < 20, "it waits, it does not spin"
    client.close()


def test_clients_that_go_away_in_the_middle_of_their_answer_leave_nothing(master):
    before = open_files(master)
    for _ in range(100):
        client = connect(master, b'{"command": "status"}\n' * 20)
        client.recv(10)
        client.close()
    assert is_well(master)
    eventually(lambda: open_files(master) <= before, what="the end of the connections")


def test_two_hundred_clients_are_answered_at_once(master):
    idle = [connect(master) for _ in range(100)]
    with ThreadPoolExecutor(100) as pool:
        found = list(pool.map(lambda _: answered(master), range(200)))
    assert found == [{"ok": True}] * 200
    for client in idle:
        client.sendall(PING)
        assert json.loads(client.makefile("rb").readline()) == {"ok": True}
        client.close()


def test_it_lives_with_few_descriptors(start):
    master = start(first="import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))")
    clients = [connect(master) for _ in range(60)]
    assert is_well(master)
    process = psutil.Process(master.pid)
    assert process.cpu_percent(0.3) < 20
    for client in clients:
        client.close()
    assert is_well(master)


def test_commands_are_done_in_the_order_of_their_answers_whoever_gives_them(master):
    with Connection(str(master.path)) as one, Connection(str(master.path)) as other:
        for number in range(1, 201):
            connection, command = ((one, "pause"), (other, "resume"))[number % 2]
            assert connection.ask({"command": command})["number"] == number
        paused = one.ask({"command": "status"})["snapshot"]["paused"]
    assert [pause["by"].endswith(f"(uid {os.getuid()})") for pause in paused] == [True]


def test_commands_of_one_connection_are_done_one_after_the_other(master):
    lines = [json.dumps({"command": ("pause", "resume")[n % 2]}).encode() + b"\n" for n in range(500)]
    client = connect(master)
    with ThreadPoolExecutor(1) as pool, client.makefile("rb") as answers:
        sending = pool.submit(client.sendall, b"".join(lines))
        numbers = [json.loads(answers.readline())["number"] for _ in lines]
        sending.result()
    client.close()
    assert numbers == list(range(1, 501))
    assert answered(master, command="status")["snapshot"]["paused"] == []


def test_no_secret_of_an_error_is_in_an_answer(master):
    """P19."""
    answer = answered(master, command="reload")
    assert answer == {"ok": False, "error": "reload refused: postgresql://shop:***@db/shop does not answer"}
    assert INSIDE not in str(answered(master, command="pause", target="bug"))
    master.process.terminate()
    _, log = master.process.communicate(timeout=20)
    assert "a request could not be done" in log


def test_one_that_is_frozen_is_told_of_in_time_and_goes_on_afterwards(master):
    master.process.send_signal(signal.SIGSTOP)
    with pytest.raises(Unreachable, match=r"does not answer within 0\.2 s; it is frozen or overloaded") as caught:
        talk(str(master.path), {"command": "ping"}, timeout=0.2)
    assert (caught.value.exit_code, str(master.pid) in str(caught.value)) == (1, True)
    waiting = [connect(master) for _ in range(100)]
    with pytest.raises(Unreachable, match="does not answer"):
        while True:
            waiting.append(Connection(str(master.path), timeout=0.2)._socket)
    master.process.send_signal(signal.SIGCONT)
    assert is_well(master)
    for client in waiting:
        client.close()


@pytest.mark.parametrize("known", [True, False], ids=["by its process", "by its socket"])
def test_the_end_of_one_is_noticed(master, known):
    class Nameless(Connection):
        """Where the kernel does not say who listens."""

        pid = 0

    with (Connection if known else Nameless)(str(master.path)) as connection, Departure(connection) as departure:
        assert not departure.wait(0.05)
        master.process.send_signal(signal.SIGSTOP)
        assert not departure.wait(0.05), "frozen is not gone"
        master.process.kill()
        eventually(lambda: departure.wait(0.1), what="its end")
    master.process.communicate(timeout=20)


def test_what_listens_and_is_no_supervisor_is_told_of(tmp_path):
    path = tmp_path / "other.sock"
    for said in (b"hello\n", b"[]\n", b"[" * 100_000 + b"\n"):
        with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
            listener.bind(str(path))
            listener.listen()
            asked = pool.submit(talk, str(path), {"command": "ping"})
            client, _ = listener.accept()
            client.sendall(said)
            with pytest.raises(Unreachable, match="what answers there is no supervisor"):
                asked.result()
            client.close()
        path.unlink()


def test_one_that_leaves_before_it_answers_is_told_of(tmp_path):
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(str(path))
        listener.listen()
        asked = pool.submit(talk, str(path), {"command": "ping"})
        client, _ = listener.accept()
        client.recv(1000)
        client.close()
        with pytest.raises(Unreachable, match="closed the connection before it answered"):
            asked.result()


@pytest.mark.parametrize(
    ("path", "words", "code"),
    [
        ("missing.sock", "is not running (there is no such socket); start it with `supervisor run`", 3),
        ("file/s.sock", "is not running (there is no such socket)", 3),
        ("file", "is not running (nobody listens at its socket)", 3),
        ("x" * 120, "no connection: AF_UNIX path too long", 1),
        (".", "is not running", 3),
    ],
)
def test_where_there_is_no_supervisor_that_is_said(tmp_path, path, words, code):
    (tmp_path / "file").touch()
    with pytest.raises(Unreachable) as caught:
        talk(str(tmp_path / path), {"command": "ping"})
    assert words in str(caught.value)
    assert caught.value.exit_code == code
