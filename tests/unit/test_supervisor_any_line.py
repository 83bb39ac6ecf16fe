"""Any bytes into the control socket: one answer a line, nothing done that was not asked, and the next is served."""

from __future__ import annotations

import json
import logging
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.control import LONGEST, Control
from supervisor.request import COMMANDS, MOST_WORKERS, Peer, Request
from tests.support.clock import FakeClock

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries(
    {"command": st.sampled_from(COMMANDS) | JSON},
    optional={"target": st.text(max_size=10) | JSON, "workers": st.integers() | JSON, "now": JSON, "more": JSON},
)
LINES = st.one_of(
    st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")),
    FIELDS.map(lambda fields: json.dumps(fields).encode()),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"[" * 50_000, b'{"a":' * 9_000, b'{"command":"scale","workers":' + b"9" * 20_000 + b"}"]),
)
few = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
many = settings(few, max_examples=20_000)


class Served:
    """The socket in a loop, and what got through to the master."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "s.sock"
        self.selector = selectors.DefaultSelector()
        self.control = Control(self.path, self.selector, self.handle, clock=FakeClock())
        self.control.open()
        self.asked: list[Request] = []

    def handle(self, request: Request, _peer: Peer) -> dict[str, str]:
        self.asked.append(request)
        return {"message": request.target or ""}

    def turn(self) -> None:
        while ready := self.selector.select(0):
            for key, _ in ready:
                self.control.ready(key)

    def tell(self, sent: bytes) -> list[dict[str, object]]:
        """Send it all, in pieces as they fit, and hang up; the answers."""
        received = b""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
            client.setblocking(False)
            while sent:
                sent = sent[client.send(sent[:8192]) :]
                self.turn()
                received += self._read(client)
            client.shutdown(socket.SHUT_WR)
            self.turn()
            received += self._read(client)
        self.turn()
        assert self.control.fds()[1:] == []
        return [json.loads(line) for line in received.splitlines()]

    def _read(self, client: socket.socket) -> bytes:
        received = b""
        try:
            while found := client.recv(1 << 20):
                received += found
        except BlockingIOError:
            pass
        return received


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.control.close()
    made.selector.close()


def hold(served: Served, lines: list[bytes], caplog: pytest.LogCaptureFixture) -> None:
    served.asked.clear()
    answers = served.tell(b"".join(line + b"\n" for line in lines))
    assert len(answers) == len(lines)
    refused = [answer for answer in answers if not answer["ok"]]
    assert all(set(answer) == {"ok", "error"} and len(str(answer["error"])) < 1000 for answer in refused)
    assert not any("this is a bug" in str(answer["error"]) for answer in refused)
    assert len(served.asked) == len(lines) - len(refused)
    assert all(one.command in COMMANDS and 0 <= (one.workers or 0) <= MOST_WORKERS for one in served.asked)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert served.tell(b'{"command": "ping"}\n') == [{"ok": True, "message": ""}]


@few
@given(lines=st.lists(LINES, max_size=4))
def test_whatever_a_line_says_it_is_answered_and_the_next_one_too(served, caplog, lines) -> None:
    hold(served, lines, caplog)


@pytest.mark.soak
@pytest.mark.timeout(900)
@many
@given(lines=st.lists(LINES, max_size=4))
def test_whatever_many_lines_say_they_are_answered_and_the_next_one_too(served, caplog, lines) -> None:
    hold(served, lines, caplog)


@settings(few, max_examples=20)
@given(sent=st.binary(min_size=1, max_size=200), times=st.integers(1, 2000))
def test_what_is_no_line_is_nothing(served, sent: bytes, times: int) -> None:
    """Without an end it is no request; and what is too long is refused once, whatever follows."""
    sent = sent.replace(b"\n", b" ") * times
    served.asked.clear()
    try:
        answers = served.tell(sent)
    except BrokenPipeError:  # it was refused while more was on its way
        answers = []
    assert served.asked == []
    assert len(answers) <= (len(sent) > LONGEST)
