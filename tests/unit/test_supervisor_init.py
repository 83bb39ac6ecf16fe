"""`supervisor init`: what it says, and what it refuses."""

from __future__ import annotations

import contextlib
import io

import pytest

from supervisor.cli.init import command
from taskqueue.cli import failures
from taskqueue.cli.session import Session
from tests.support.shell import Ran


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def typed(*args: str) -> Ran:
    session, out, err = Session(), io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        failures.told(session) as outcome,
    ):
        command.main(list(args), prog_name="supervisor init", standalone_mode=False, obj=session)
    return Ran(outcome.code, out.getvalue(), err.getvalue())


def test_it_says_what_it_wrote_and_how_to_go_on():
    ran = typed()

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "wrote tasks.py",
        "wrote config/taskqueue.toml",
        "",
        "    supervisor run",
        "    taskqueue enqueue tasks:hello name=world --wait",
        "    supervisor status",
    ]


def test_it_says_what_it_found(tmp_path):
    typed("a b", "--store", "postgresql")
    ran = typed("a b")

    assert ran.out.startswith("kept  a b/config/taskqueue.toml, which was there\n\n    cd 'a b' && taskqueue check\n")
    assert "${DATABASE_URL}" in (tmp_path / "a b/config/taskqueue.toml").read_text()


def test_another_configuration_that_the_commands_would_read_is_named(monkeypatch):
    monkeypatch.setenv("TASKQUEUE_CONFIG", "/etc/shop.toml")

    assert typed().err == "$TASKQUEUE_CONFIG is set: until you unset it, these commands read /etc/shop.toml\n"


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--store", "redis"), "'redis' is not one of"),
        (("--config", "x.toml"), "this writes config/taskqueue.toml into FOLDER"),
        (("--set", "a.b=1"), "this writes config/taskqueue.toml into FOLDER"),
        (("a", "b"), "unexpected extra argument"),
    ],
)
def test_what_makes_no_sense_is_refused(args, line, tmp_path):
    ran = typed(*args)

    assert ran.code == 2
    assert line in ran.line
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "config").touch()

    assert "config is no folder" in typed().line
