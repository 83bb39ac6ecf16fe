"""The log: whole lines, nothing forged, no secret, and the task that was running."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue import logs
from taskqueue.context import RunContext, enter, leave
from taskqueue.settings import LoggingSettings
from tests.support.shell import Screen

log = logging.getLogger("shop.tasks")


class Run(RunContext):
    id, name, queue, attempt, fence, worker = "0199", "shop:mail", "mails", 2, 7, "host:1"
    cancel_requested = stopping = False

    def report_progress(self, done, total, message):
        raise NotImplementedError

    def spawn(self, tasks, keys):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def running() -> Iterator[None]:
    token = enter(Run())
    yield
    leave(token)


def text(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_has_local_time_with_its_offset_level_logger_and_facts(capsys):
    logs.setup(LoggingSettings())
    log.info("task finished", extra={"task_id": "0199", "words": "two words", "nothing": None})
    (line,) = text(capsys)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d INFO    shop\.tasks\[\d+\] task finished"
        r'  task_id=0199 words="two words"',
        line,
    )


def test_what_a_task_logs_says_which_task(capsys, running):
    logs.setup(LoggingSettings())
    log.info("hello")
    (line,) = text(capsys)
    assert line.endswith("hello  task_id=0199 task_name=shop:mail queue=mails attempt=2 worker=host:1")


def test_facts_that_a_record_says_itself_stay(capsys, running):
    logs.setup(LoggingSettings(format="json"))
    log.info("about another", extra={"task_id": "4711"})
    (line,) = text(capsys)
    assert json.loads(line)["task_id"] == "4711"


def test_no_message_forges_a_line(capsys):
    logs.setup(LoggingSettings())
    log.warning("one\n2026-01-31 INFO root[1] all is well\x1b[2K", extra={"queue": "a\nb"})
    try:
        raise ValueError("bad\n2026-01-31 INFO root[1] all is well\x1b[2K")
    except ValueError:
        log.exception("it broke")
    first, second, *rest = text(capsys)
    assert r"one\n2026-01-31 INFO root[1] all is well\x1b[2K" in first
    assert second.endswith("it broke")
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in "".join(rest)


@pytest.mark.parametrize("form", ["text", "json"])
@given(words=st.text(), fact=st.text(), broken=st.text())
def test_whatever_a_record_says_it_is_one_line_and_its_traceback_further_ones(form, words, fact, broken):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        logs.setup(LoggingSettings(format=form))
        try:
            raise ValueError(broken)
        except ValueError:
            log.exception("%s", words, extra={"fact": fact, "label": [fact]})
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]", said.getvalue())
    first, *rest = said.getvalue().split("\n")[:-1]
    assert "shop.tasks" in first
    assert all(line.startswith("    ") for line in rest)
    if form == "json":
        assert json.loads(first)["fact"] == fact
        assert rest == []


def test_json_is_one_object_a_line_with_its_time_in_utc(capsys, running):
    logs.setup(LoggingSettings(format="json"))
    try:
        raise ValueError("one\ntwo")
    except ValueError:
        log.exception("it %s", "broke", extra={"odd": {1}, "message_id": 3})
    (line,) = text(capsys)
    said = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", said["time"])
    assert (said["level"], said["logger"], said["message"]) == ("error", "shop.tasks", "it broke")
    assert (said["task_id"], said["odd"], said["message_id"]) == ("0199", "{1}", 3)
    assert said["exception"].endswith("ValueError: one\ntwo")


@pytest.mark.parametrize("form", ["text", "json"])
def test_passwords_in_urls_are_masked(capsys, form):
    """P19."""
    logs.setup(LoggingSettings(format=form))
    log.info("connecting to %s", "postgresql://shop:pa55word@host/db", extra={"url": "mysql://shop:pa55word@host"})
    try:
        raise ValueError("no answer from postgresql://shop:pa55word@host/db")
    except ValueError:
        log.exception("away")
    said = "\n".join(text(capsys))
    assert "shop:***@host/db" in said
    if form == "text":
        assert "pa55word" not in said.replace(
            'raise ValueError("no answer from postgresql://shop:pa55word@host/db")', ""
        )


def test_a_record_that_is_wrong_is_written_as_it_stands(capsys):
    logs.setup(LoggingSettings())
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if isinstance(handler, logs.ToStderr)]
    log.info("%s and %s", "one")  # noqa: PLE1206  # wrong on purpose
    (line,) = text(capsys)
    assert "%s and %s ('one',)" in line


def test_the_level_is_that_of_the_settings_unless_another_is_said(capsys):
    logs.setup(LoggingSettings(level="warning"))
    log.info("not said")
    logs.setup(LoggingSettings(level="warning"), level="info")
    log.info("said once")
    logging.getLogger("botocore").info("what only its authors want to know")
    (line,) = text(capsys)
    assert line.endswith("said once")


def written(stream: io.StringIO | None, *, level: str = "error", message: str = "said", **settings: str) -> str:
    """What a record puts on that stream, if it is standard error."""
    with contextlib.redirect_stderr(stream):
        logs.setup(LoggingSettings(level="debug", **settings))
        log.log(logging.getLevelName(level.upper()), message)
    return stream.getvalue() if stream else ""


class TestColour:
    """For people only: what reads our lines by machine finds no escapes in them."""

    @pytest.fixture(autouse=True)
    def _at_a_terminal(self, monkeypatch):
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)

    @pytest.mark.parametrize(
        ("level", "colour"), [("debug", "2"), ("info", "32"), ("warning", "33"), ("error", "31"), ("critical", "1;31")]
    )
    def test_at_a_terminal_the_level_has_one(self, level, colour):
        line = written(Screen(), level=level)
        assert f"\x1b[{colour}m{level.upper():<7}\x1b[0m shop.tasks[" in line
        assert line.count("\x1b") == 2

    def test_a_level_of_somebodys_own_has_none(self):
        logging.addLevelName(35, "NOTICE")
        line = written(Screen(), level="notice")
        assert " NOTICE  shop.tasks[" in line
        assert "\x1b" not in line

    def test_what_a_message_brings_along_is_still_written_out(self):
        assert r"\x1b[2K" in written(Screen(), message="\x1b[2K")

    def test_json_is_for_programs(self):
        assert json.loads(written(Screen(), format="json"))["level"] == "error"

    @pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("NO_COLOR", "0"), ("TERM", "dumb")])
    def test_who_wants_none_gets_none(self, monkeypatch, name, value):
        monkeypatch.setenv(name, value)
        assert "\x1b" not in written(Screen())

    def test_an_empty_no_color_is_none(self, monkeypatch):
        monkeypatch.setenv("NO_COLOR", "")
        assert "\x1b[31m" in written(Screen())

    def test_a_file_or_a_pipe_gets_none(self):
        assert "\x1b" not in written(io.StringIO())

    def test_without_a_stream_nothing_breaks(self):
        assert written(None) == ""
