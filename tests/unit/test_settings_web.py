"""`[web]`: where it listens, whom it knows, and that nothing is ever open to strangers. P18, P19."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskqueue.errors import ConfigurationError
from taskqueue.settings import parse
from taskqueue.settings.binding import Bind, is_loopback

MAIN = '[brokers.main]\nurl = "sqlite:///app.db"\n'
TOKEN = "0123456789-abcdefghij"
GUARDED = f'[web.tokens.ann]\ntoken = "{TOKEN}"\n'


def web(text, **options):
    return parse(MAIN + text, file=Path("/srv/shop/config/taskqueue.toml"), **options).web


def refused(text, **options) -> str:
    with pytest.raises(ConfigurationError) as caught:
        web(text, **options)
    return str(caught.value).replace("/srv/shop/config/taskqueue.toml ", "")


def test_nothing_is_served_where_nothing_is_said():
    assert web("").bind is None
    assert web('[web]\nbind = ""').bind is None
    assert web("").enqueue is False


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:8321", Bind("127.0.0.1", 8321)),
        ("localhost:0", Bind("localhost", 0)),
        ("[::1]:8321", Bind("::1", 8321)),
        ("unix:/run/tq.sock", Bind(path=Path("/run/tq.sock"))),
        ("unix:var/tq.sock", Bind(path=Path("/srv/shop/var/tq.sock"))),
    ],
)
def test_an_address_is_a_host_and_a_port_or_a_file(text, bind):
    assert web(f'[web]\nbind = "{text}"').bind == bind
    if not text.startswith("unix:var"):
        assert str(bind) == text


@pytest.mark.parametrize(
    "text",
    ["8321", ":8321", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "http://127.0.0.1:1", "::1:80", "unix:", "a b:1"],
)
def test_what_is_no_address_is_refused(text):
    assert 'bind: expected HOST:PORT such as "127.0.0.1:8321"' in refused(f'[web]\nbind = "{text}"')


@pytest.mark.parametrize(
    "address", ["0.0.0.0:8321", "[::]:8321", "10.0.0.1:80", "db.example.org:80", "[::ffff:10.0.0.1]:1"]
)
def test_without_tokens_nobody_but_this_machine_is_let_in(address):
    said = refused(f'[web]\nbind = "{address}"')
    assert said == (
        f"[web] bind: without tokens everybody who reaches {address} could do everything: add [web.tokens.NAME] with a "
        "token and a role, or bind to 127.0.0.1"
    )
    assert web(f'[web]\nbind = "{address}"\n{GUARDED}').bind
    assert said in refused("", sets=[f"web.bind={address}"]).replace("--set web.bind:", "[web] bind:")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("", False),
        ("localhost.example.org", False),
    ],
)
def test_the_loopback_is_known_by_its_names(host, loopback):
    assert is_loopback(host) is loopback


def test_a_callers_role_is_the_least_and_a_users_owner_its_name():
    caller = web(GUARDED).tokens["ann"]
    assert (caller.role, caller.owner, caller.token) == ("user", "ann", TOKEN)
    assert web(GUARDED + 'owner = "shop"').tokens["ann"].owner == "shop"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[web]\nbnd = 1", "[web]: unknown key 'bnd', did you mean 'bind'?"),
        ("[web]\ntoken = 1", "[web]: unknown key 'token', did you mean 'tokens'?"),
        ("[web]\ntokens = 1", "[web.tokens]: expected a table, not 1"),
        ("[web]\nenqueue = 1", "[web] enqueue: expected true, false or a list of task names, not 1"),
        ("[web]\nenqueue = [1]", "[web] enqueue: expected a text, not 1"),
        ('[web]\nroot_path = "x"', "[web] root_path: expected a path such as \"/tasks\", not 'x'"),
        ('[web]\nroot_path = "/a/../b?c"', '[web] root_path: expected a path such as "/tasks"'),
        ('[web]\nallowed_hosts = ["http://a"]', "[web] allowed_hosts: 'http://a' is no host"),
        ('[web]\nallowed_hosts = ["*"]', '[web] allowed_hosts: "*" lets any web page reach what no token guards'),
        ("[web.tokens.ann]", '[web.tokens.ann] token: missing; for instance "${file:/run/secrets/NAME}"'),
        (
            GUARDED + 'role = "admin"',
            "[web.tokens.ann] role: expected one of 'user', 'reader', 'operator', not 'admin'",
        ),
        (GUARDED + 'name = "x"', "[web.tokens.ann]: unknown key 'name'; known: owner, role, token"),
        ('[web.tokens."a/b"]\ntoken = 1', "[web.tokens]: 'a/b' is no name"),
        (GUARDED + GUARDED.replace("ann", "bob"), "[web.tokens.bob] token: another caller has the same token"),
    ],
)
def test_what_is_wrong_is_told(text, line):
    assert line in refused(text)


@pytest.mark.parametrize("token", ["short-one", "with a blank in its middle", "ä" * 30, 12345678901234567890123])
def test_a_token_that_is_none_is_refused_and_never_shown(token):
    shown = f'"{token}"' if isinstance(token, str) else token
    said = refused(f"[web.tokens.ann]\ntoken = {shown}")
    assert said.startswith("[web.tokens.ann] token: expected a token of at least 20 letters")
    assert str(token) not in said
    by_variable = refused('[web.tokens.ann]\ntoken = "${SECRET}"', environ={"SECRET": "short-one"})
    assert "short-one" not in by_variable


def test_no_token_is_shown_by_what_holds_it():
    settings = parse(MAIN + GUARDED)
    assert TOKEN not in repr(settings)
    assert "ann" in repr(settings)
