"""What the master is asked, a line each: all that is no request is refused in one sentence."""

from __future__ import annotations

import os
import pwd
import socket

import pytest

from supervisor.request import Peer, Refused, Request, peer_of, request_of


def refusal(line: bytes) -> str:
    with pytest.raises(Refused) as caught:
        request_of(line)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 300
    return text


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        (b'{"command": "status"}', Request(command="status")),
        (b' {"command":"pause","target":null} \r', Request(command="pause")),
        (b'{"command": "scale", "target": "mail", "workers": 3}', Request(command="scale", target="mail", workers=3)),
        (b'{"command": "stop", "now": true}', Request(command="stop", now=True)),
        (b'{"command": "pause", "by": "ann@desk"}', Request(command="pause", by="ann@desk")),
    ],
)
def test_a_request_is_an_object_with_a_command(line, request_):
    assert request_of(line) == request_


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "the line is not JSON"),
        (b"status", "the line is not JSON"),
        (b'{"command": "status"', "the line is not JSON"),
        (b'{"command": "status"} {}', "the line is not JSON"),
        (b"\xff\xfe\x00\x80", "the line is not JSON"),
        (b'{"command": "\xff"}', "the line is not JSON"),
        (b"[" * 50_000, "no request"),
        (b'{"command":' * 5000, "no request"),
        (b"null", "expected `object`, got `null`"),
        (b'["status"]', "expected `object`, got `array`"),
        (b"{}", "missing required field `command`"),
        (b'{"command": 1}', "command: expected `str`, got `int`"),
        (b'{"command": "pause", "target": {"a": 1}}', "target: expected `str | null`, got `object`"),
        (b'{"command": "scale", "target": "mail", "workers": "8"}', "workers: expected `int | null`, got `str`"),
        (b'{"command": "scale", "target": "mail", "workers": 1.5}', "workers: expected `int | null`, got `float`"),
        (b'{"command": "scale", "target": "mail", "workers": 1e999}', "no request"),
        (b'{"command": "scale", "target": "mail", "workers": -1}', "workers: expected `int` >= 0"),
        (b'{"command": "scale", "target": "mail", "workers": 1001}', "workers: expected `int` <= 1000"),
        (b'{"command": "pause", "by": ""}', "by: expected `str` of length >= 1"),
        (b'{"command": "stop", "now": "no"}', "now: expected `bool`, got `str`"),
        (b'{"command": "stop", "gently": true}', "unknown field `gently`"),
        (b'{"command": "statsu"}', "no command 'statsu', did you mean 'status'?"),
        (b'{"command": "format c:"}', "no command 'format c:'; known: status, ping, "),
        (b'{"command": "' + b"x" * 10_000 + b'"}', "no command 'xxxx"),
    ],
)
def test_anything_else_is_refused_with_what_is_wrong(line, words):
    assert words in refusal(line)


def test_the_kernel_says_who_asks():
    here, there = socket.socketpair()
    with here, there:
        peer = peer_of(here)
    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())
    assert str(peer) == f"{pwd.getpwuid(os.getuid()).pw_name} (uid {os.getuid()})"


def test_who_has_no_name_has_a_number_and_who_is_unknown_is_somebody():
    assert str(Peer(pid=1, uid=987_654)) == "uid 987654"
    assert str(Peer()) == "somebody"
