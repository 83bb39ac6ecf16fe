"""The control socket in the master's loop: what a client can do to it, and what not, by a clock that tests move."""

from __future__ import annotations

import json
import logging
import os
import resource
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.control import LONGEST, MOST_CLIENTS, PATIENCE, Control
from supervisor.request import Peer, Refused, Request
from tests.support.clock import FakeClock
from tests.support.pretender import made_up


class Loop:
    """A loop as the master's, one turn at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self.selector = selectors.DefaultSelector()
        self.control = Control(path, self.selector, self.handle, clock=self.clock)
        self.control.open()
        self.asked: list[Request] = []
        self.answer: Any = {}
        self.clients: list[socket.socket] = []

    def handle(self, request: Request, _peer: Peer) -> dict[str, Any]:
        self.asked.append(request)
        return self.answer(request) if callable(self.answer) else self.answer

    def client(self, sent: bytes = b"") -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        self.clients.append(client)
        client.settimeout(0)
        client.connect(str(self.path))
        if sent:
            client.send(sent)
        return client

    def turn(self) -> int:
        """Do what is to be done; how many turns it took."""
        turns = 0
        while ready := self.selector.select(0):
            for key, _ in ready:
                assert key.data is self.control
                self.control.ready(key)
            turns += 1
        self.control.tick(self.clock.monotonic())
        return turns

    @property
    def served(self) -> int:
        """How many clients it has."""
        return len(self.control.fds()) - 1


def answers(client: socket.socket) -> list[dict[str, Any]]:
    """All that came back by now."""
    received = b""
    while True:
        try:
            found = client.recv(1 << 20)
        except (BlockingIOError, ConnectionResetError):
            break
        if not found:
            break
        received += found
    assert not received or received.endswith(b"\n")
    return [json.loads(line) for line in received.splitlines()]


def gone(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def line(command: str, **about: Any) -> bytes:
    return json.dumps({"command": command} | about).encode() + b"\n"


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    before = set(os.listdir("/proc/self/fd"))
    made = Loop(tmp_path / "s.sock")
    yield made
    made.control.close()
    made.selector.close()
    for client in made.clients:
        client.close()
    assert set(os.listdir("/proc/self/fd")) <= before
    assert not made.path.exists()


def test_a_request_is_answered_by_a_line(loop):
    loop.answer = {"message": "paused"}
    client = loop.client(line("pause", target="mail"))
    loop.turn()
    assert answers(client) == [{"ok": True, "message": "paused"}]
    assert loop.asked == [Request(command="pause", target="mail")]


def test_a_connection_stays_for_further_requests(loop):
    client = loop.client()
    for number in range(3):
        client.send(line("scale", target="mail", workers=number))
        loop.turn()
        assert answers(client) == [{"ok": True}]
    assert [request.workers for request in loop.asked] == [0, 1, 2]


def test_what_is_refused_is_answered_and_the_next_request_is_done(loop):
    def answer(request: Request) -> dict[str, Any]:
        if request.target == "mial":
            raise Refused("no pool 'mial', did you mean 'mail'?")
        return {}

    loop.answer = answer
    client = loop.client(b"nonsense\n" + line("pause", target="mial") + line("pause", target="mail"))
    loop.turn()
    first, second, third = answers(client)
    assert (first["ok"], second, third) == (
        False,
        {"ok": False, "error": "no pool 'mial', did you mean 'mail'?"},
        {"ok": True},
    )


def test_a_bug_in_what_is_done_harms_only_its_own_request(loop, caplog):
    def answer(_request: Request) -> dict[str, Any]:
        raise RuntimeError("it holds what nobody is to know")

    loop.answer = answer
    client = loop.client(line("restart"))
    loop.turn()
    (found,) = answers(client)
    assert found["error"].startswith("unexpected RuntimeError; this is a bug")
    assert caplog.records[0].exc_info
    loop.answer = {"it": object()}
    client.send(line("status"))
    loop.turn()
    assert answers(client)[0]["error"].startswith("unexpected TypeError")
    loop.answer = {}
    client.send(line("status"))
    loop.turn()
    assert answers(client) == [{"ok": True}]


def test_a_file_name_that_is_no_text_hides_nothing_else(loop):
    loop.answer = {"snapshot": made_up(config="/srv/\udcff.toml")}
    client = loop.client(line("status"))
    loop.turn()
    (found,) = answers(client)
    assert (found["snapshot"]["config"], found["snapshot"]["host"]) == ("/srv/\udcff.toml", "web-1")


def test_no_password_is_in_an_answer_that_says_what_went_wrong(loop):
    """P19."""

    def answer(_request: Request) -> dict[str, Any]:
        raise Refused("mysql+pymysql://shop:s3cret@db/shop: no")

    loop.answer = answer
    client = loop.client(line("reload"))
    loop.turn()
    assert answers(client) == [{"ok": False, "error": "mysql+pymysql://shop:***@db/shop: no"}]


def test_requests_that_come_in_one_piece_are_done_in_their_order(loop):
    loop.answer = lambda request: {"n": request.workers}
    client = loop.client(b"".join(line("scale", target="mail", workers=n) for n in range(200)))
    found: list[dict[str, Any]] = []
    while len(found) < 200:
        assert loop.turn()
        found += answers(client)
    assert [answer["n"] for answer in found] == list(range(200))
    assert [request.workers for request in loop.asked] == list(range(200))


def test_requests_of_two_connections_are_done_as_their_answers_come(loop):
    loop.answer = lambda _request: {"n": len(loop.asked)}
    one, other = loop.client(), loop.client()
    for number in range(20):
        client = (one, other)[number % 2]
        client.send(line("pause" if number % 2 else "resume"))
        loop.turn()
        assert answers(client) == [{"ok": True, "n": number + 1}]
    assert [request.command for request in loop.asked] == ["resume", "pause"] * 10


def test_who_has_many_requests_lets_others_have_their_turn(loop):
    loop.client(line("ping") * 400)
    other = loop.client(line("status"))
    for _ in range(3):
        for key, _ in loop.selector.select(0):
            loop.control.ready(key)
    assert answers(other) == [{"ok": True}]
    assert len(loop.asked) < 10


def test_a_line_may_come_byte_by_byte(loop):
    client = loop.client()
    for byte in line("ping"):
        client.send(bytes([byte]))
        loop.turn()
    assert answers(client) == [{"ok": True}]


def test_the_last_line_is_done_though_its_client_has_closed_its_half(loop):
    client = loop.client(line("ping"))
    client.shutdown(socket.SHUT_WR)
    loop.turn()
    assert answers(client) == [{"ok": True}]
    assert loop.served == 0


def test_a_line_without_an_end_is_no_request(loop):
    client = loop.client(line("stop").rstrip())
    client.shutdown(socket.SHUT_WR)
    loop.turn()
    assert (loop.asked, loop.served) == ([], 0)
    assert gone(client)


def test_who_does_not_end_its_line_is_dropped_in_time(loop):
    client = loop.client(b'{"command"')
    loop.turn()
    loop.clock.advance(PATIENCE - 1)
    client.send(b": ")
    loop.turn()
    assert loop.served == 1
    assert loop.control.due() == pytest.approx(loop.clock.monotonic() + 1)
    loop.clock.advance(1)
    loop.turn()
    assert gone(client)
    assert loop.control.due() is None


def test_who_asks_again_and_again_may_stay(loop):
    client = loop.client()
    for _ in range(5):
        loop.clock.advance(PATIENCE - 1)
        client.send(line("ping"))
        loop.turn()
    assert len(answers(client)) == 5
    assert loop.served == 1


def test_a_line_that_is_too_long_is_refused_before_it_ends(loop):
    client = loop.client()
    for _ in range(1 + LONGEST // 16_384):
        client.send(b"x" * 16_384)
        loop.turn()
    assert answers(client) == [{"ok": False, "error": "no request: the line has more than 65,536 bytes"}]
    assert (gone(client), loop.served, loop.asked) == (True, 0, [])


def test_who_does_not_read_is_asked_for_nothing_more_and_dropped_in_time(loop):
    loop.answer = {"message": "x" * 1_000_000}
    client = loop.client(line("status") * 100)
    loop.turn()
    assert len(loop.asked) == 1
    loop.clock.advance(PATIENCE)
    loop.turn()
    assert loop.served == 0
    assert len(loop.asked) == 1
    del client


def test_who_reads_slowly_gets_all_of_a_long_answer(loop):
    loop.answer = {"message": "x" * 3_000_000}
    client, received = loop.client(line("status")), b""
    while not received.endswith(b"\n"):
        loop.turn()
        received += client.recv(1 << 16)
    assert json.loads(received) == {"ok": True, "message": "x" * 3_000_000}


def test_who_goes_away_before_its_answer_is_forgotten(loop):
    loop.answer = {"message": "x" * 3_000_000}
    client = loop.client(line("pause") * 3)
    loop.turn()
    client.close()
    loop.turn()
    assert loop.served == 0
    assert len(loop.asked) == 1


def test_who_goes_away_before_it_was_seen_has_its_order_done(loop):
    loop.client(line("pause")).close()
    loop.turn()
    assert [request.command for request in loop.asked] == ["pause"]
    assert loop.served == 0


def test_a_loop_has_nothing_to_do_where_nobody_asks(loop):
    loop.client()
    loop.client(b"half a ")
    loop.turn()
    assert loop.turn() == 0


def test_many_can_ask_at_once(loop):
    clients = [loop.client(line("ping")) for _ in range(100)]
    loop.turn()
    assert [answers(client) for client in clients] == [[{"ok": True}]] * 100


def test_of_too_many_the_one_that_was_quiet_longest_has_to_go(loop):
    quiet = loop.client()
    loop.turn()
    loop.clock.advance(1)
    lively: list[socket.socket] = []
    while len(lively) < MOST_CLIENTS - 1:
        lively.append(loop.client())
        loop.turn()
    assert loop.served == MOST_CLIENTS
    newest = loop.client(line("ping"))
    loop.turn()
    assert loop.served == MOST_CLIENTS
    assert answers(newest) == [{"ok": True}]
    assert gone(quiet)
    assert not any(gone(client) for client in lively)


def test_what_is_done_may_close_everything(loop):
    def answer(_request: Request) -> dict[str, Any]:
        loop.control.close()
        return {}

    loop.answer = answer
    client = loop.client(line("stop", now=True))
    loop.turn()
    assert gone(client)
    loop.control.close()
    assert loop.control.fds() == []


def test_a_client_that_is_gone_is_not_mistaken_for_one_that_took_its_number(loop):
    first = loop.client(line("ping"))
    loop.turn()
    stale = [key for key in loop.selector.get_map().values() if key.fd != loop.control.fds()[0]]
    first.close()
    loop.turn()
    other = loop.client()
    loop.turn()
    for key in stale:
        loop.control.ready(key)
    assert loop.served == 1
    assert not gone(other)


def test_without_a_descriptor_left_the_loop_rests_and_goes_on_when_there_is_one(loop, caplog):
    caplog.set_level(logging.WARNING)
    client = loop.client(line("ping"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        loop.turn()
        assert (loop.turn(), loop.served) == (0, 0)
        assert loop.control.due() is not None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [record.message for record in caplog.records] == ["the control socket takes no connection"]
    loop.clock.advance(1)
    loop.turn()
    loop.turn()
    assert answers(client) == [{"ok": True}]


def test_without_a_descriptor_left_the_quietest_client_makes_room(loop):
    quiet, client = loop.client(), None
    loop.turn()
    client = loop.client(line("ping"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        loop.turn()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert gone(quiet)
    assert answers(client) == [{"ok": True}]


def test_a_child_knows_what_it_must_close(loop):
    loop.client(line("ping"))
    loop.turn()
    for fd in loop.control.fds():
        assert os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        assert not os.get_inheritable(fd)
    assert len(loop.control.fds()) == 2
