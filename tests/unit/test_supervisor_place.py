"""Where the socket is: the quick reader and the settings agree, and a file that is refused locks nobody out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.place import plain_path, socket_path
from taskqueue.errors import ConfigurationError
from taskqueue.settings import load, parse

BROKER = '[brokers.main]\nurl = "sqlite:///tasks.db"\n'
PATHS = st.text(st.sampled_from("ab/. é-"), min_size=1, max_size=12)


def write(file: Path, text: str) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("name", ["taskqueue.toml", "config/taskqueue.toml", "config/deep/taskqueue.toml"])
@pytest.mark.parametrize(
    "said",
    [
        "",
        '[supervisor]\ngrace = "1m"\n',
        '[supervisor]\ncontrol_socket = "run/s.sock"\n',
        '[supervisor]\ncontrol_socket = "/run/s.sock"\n',
        '[supervisor]\ncontrol_socket = "../s.sock"\n[app]\nroot = "data/./x"\n',
        '[app]\nroot = "/srv/shop"\n',
        '[app]\nroot = "/srv/${TEAM}"\n[supervisor]\ncontrol_socket = "${RUN:-run}/$$.sock"\n',
        '[supervisor]\ncontrol_socket = """s.sock"""\n',
        '[supervisor]\ncontrol_socket = "s\\u00e9.sock"\n',
    ],
)
def test_it_is_where_the_settings_say(tmp_path, monkeypatch, name, said):
    monkeypatch.setenv("TEAM", "blue")
    file = write(tmp_path / name, BROKER + said)
    assert plain_path(file) == str(load(file).supervisor.control_socket)
    assert socket_path(file) == plain_path(file)


@given(root=PATHS, path=PATHS)
def test_it_is_where_the_settings_say_whatever_the_path(tmp_path_factory, root, path):
    text = f'{BROKER}[app]\nroot = "{root}"\n[supervisor]\ncontrol_socket = "{path}"\n'
    file = write(tmp_path_factory.getbasetemp() / "any/taskqueue.toml", text)
    assert plain_path(file) == str(parse(text, file=Path(file)).supervisor.control_socket)


def test_the_file_is_found_as_the_settings_find_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert plain_path(None) is None
    write(tmp_path / "config/taskqueue.toml", BROKER)
    assert plain_path(None) == str(tmp_path / "var/supervisor.sock") == str(load().supervisor.control_socket)
    monkeypatch.setenv("TASKQUEUE_CONFIG", "other/here.toml")
    write(tmp_path / "other/here.toml", BROKER)
    assert plain_path(None) == str(tmp_path / "other/var/supervisor.sock") == str(load().supervisor.control_socket)
    assert plain_path("config/taskqueue.toml") == str(tmp_path / "var/supervisor.sock")


def test_a_byte_order_mark_is_no_hindrance(tmp_path):
    file = tmp_path / "taskqueue.toml"
    file.write_bytes(b"\xef\xbb\xbf" + BROKER.encode())
    assert plain_path(str(file)) == str(tmp_path / "var/supervisor.sock")


@pytest.mark.parametrize("wrong", ["[queues.mail]\nwieght = 3\n", "[nonsense]\n", '[queues.mail]\nbroker = "nope"\n'])
def test_a_mistake_elsewhere_in_the_file_locks_nobody_out(tmp_path, wrong):
    """A reload would refuse it, and the supervisor runs on by the old one."""
    file = write(tmp_path / "taskqueue.toml", BROKER + wrong)
    with pytest.raises(ConfigurationError):
        load(file)
    assert socket_path(file) == str(tmp_path / "var/supervisor.sock")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = [", "not TOML"),
        ("[supervisor]\ncontrol_socket = 3\n", "control_socket: expected a text, not 3"),
        ('[supervisor]\ncontrol_socket = ""\n', "control_socket: expected a path"),
        ('[supervisor]\ncontrol_socket = "a\\u0007"\n', "the text has a control character"),
        ('[supervisor]\ncontrol_socket = "${NO_SUCH_NAME}/s"\n', "${NO_SUCH_NAME} is not set"),
        ("supervisor = 3\n", "expected a table"),
        ("[app]\nroot = true\n", "root: expected a text"),
    ],
)
def test_what_is_no_path_is_told_of_and_that_there_is_another_way(tmp_path, text, words):
    file = write(tmp_path / "taskqueue.toml", text if text.startswith(("x", "supervisor =")) else BROKER + text)
    assert plain_path(file) is None
    with pytest.raises(ConfigurationError) as caught:
        socket_path(file)
    assert words in str(caught.value)
    assert str(caught.value).endswith("a supervisor that runs is reached all the same by --socket PATH")


def test_an_override_counts(tmp_path):
    file = write(tmp_path / "taskqueue.toml", BROKER)
    assert socket_path(file, ["supervisor.control_socket=/run/other.sock"]) == "/run/other.sock"


def test_a_working_directory_that_is_gone_is_told_of(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    os.rmdir(folder)
    assert plain_path(None) is None
    with pytest.raises(ConfigurationError):
        socket_path(None)
