"""Names, labels, reports and log texts that would move a cursor or forge a line: at a real terminal and piped (P19)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskqueue import Report, codec
from taskqueue.app import App
from taskqueue.ids import new_id
from taskqueue.message import Message
from taskqueue.settings import load
from taskqueue.status import Status
from taskqueue.tasklog.entry import Attempt, Cause, Entry
from taskqueue.visible import visible_lines
from tests.support import errands
from tests.support.pretender import RunningPretender

pytestmark = pytest.mark.process
FORGED = "2026-01-31 09:00:00.123+01:00 INFO    root[1] all is well"
ODD = [
    "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]52;c;cm0gLXJm\x07", "\x1bPq\x1b\\", "\x9b31m", "\x1bc", "a\rb", "\b\b\b",
    f"\n{FORGED}\n", "\r\n" + FORGED, "\u2028" + FORGED, "\u202egnp.exe", "[red]no[/red]", "\x85next", "\x7f\x0e\x0f",
    "\t\v\f", "{x} %s %(name)s",
]  # fmt: skip
ALL = "".join(ODD)
CONFIG = """
[app]
modules = ["tests.support.errands"]
[brokers.main]
url = "sqlite:///tasks.db"
[queues.default]
unknown_grace = 0
[supervisor]
control_socket = "s.sock"
[logging]
format = "{form}"
"""
#: colours, which only our own words have
COLOUR = re.compile(r"\x1b\[[\d;]*m")
PRETENCE = """
def made_up(fine=made_up):
    worker = replace(slot("p", 0), name=ALL, pool=ALL, task_name=ALL, task_id=ALL, activity="running", pid=1)
    return fine(host=ALL, config=ALL, pools=(pool(ALL, worker, queues=(ALL,)),), paused=(Pause(scope=ALL, by=ALL),))
"""


class Folder:
    """A project whose task log is full of odd texts."""

    def __init__(self, path: Path) -> None:
        self.path, self.config = path, path / "taskqueue.toml"
        self.write("text")
        self.app = App(load(self.config))
        self.app.dispatcher.initialize()
        self.entries = [self._entry(odd) for odd in [*ODD, ALL]]
        self.app.dispatcher.task_log.broker.add(self.entries)

    def write(self, form: str) -> None:
        self.config.write_text(CONFIG.format(form=form))

    def _entry(self, odd: str) -> Entry:
        report = Report.error(odd, {odd: [odd]}).with_children(Report.warning(odd))
        return Entry(
            id=new_id(),
            name=f"shop:{odd}"[:255],
            queue="default",
            status=Status.FAILED,
            label=odd[:255],
            owner=odd[:255],
            category=odd[:255],
            worker=odd[:255],
            report=codec.encode_report(report),
            progress=json.dumps({"message": odd}).encode(),
            created_at=self.app.clock.micros(),
            finished_at=self.app.clock.micros(),
        )

    def run(self, *command: str, terminal: bool) -> str:
        """All that it shows, on both streams."""
        environ = os.environ | {"TASKQUEUE_CONFIG": str(self.config), "TERM": "xterm-256color", "COLUMNS": "300"}
        environ.pop("NO_COLOR", None)
        ours, theirs = os.openpty() if terminal else os.pipe()
        seen = bytearray()
        reading = threading.Thread(target=_read, args=(ours, seen))
        reading.start()
        program = [sys.executable, "-m", *command]
        subprocess.run(program, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environ, timeout=40)
        os.close(theirs)
        reading.join()
        os.close(ours)
        return seen.decode()


def _read(end: int, seen: bytearray) -> None:
    try:
        while found := os.read(end, 65_536):
            seen += found
    except OSError:  # a terminal at which nobody is left
        return


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    made.app.dispatcher.close()
    made.app.close()


def harmless(shown: str, *, terminal: bool) -> list[str]:
    """Its lines, which do nothing to a terminal but colour our own words."""
    plain = (COLOUR.sub("", shown) if terminal else shown).replace("\r\n", "\n")
    assert visible_lines(plain) == plain
    assert not [line for line in plain.split("\n") if line.startswith(FORGED)]
    return plain.splitlines()


@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
def test_no_odd_text_of_a_task_does_anything_to_who_looks(folder: Folder, terminal: bool) -> None:
    worst = folder.entries[-1].id
    note = Attempt(task_id=worst, fence=1, attempt=1, cause=Cause.CRASH, detail=ALL, worker=ALL[:255], ended_at=1)
    store = folder.app.dispatcher.task_log.broker._store
    store.turn(lambda: store.note([note]))
    listed = harmless(folder.run("taskqueue", "log", "list", "--limit", "100", terminal=terminal), terminal=terminal)
    assert len(listed) == 1 + len(folder.entries), "a row is a line"
    for command in (["log", "show", worst], ["queues"]) if terminal else ():
        assert harmless(folder.run("taskqueue", *command, terminal=terminal), terminal=terminal)


@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
def test_no_odd_text_of_a_host_does_anything_to_who_looks(folder: Folder, terminal: bool) -> None:
    master = RunningPretender(folder.path / "s.sock", first=f"ALL = {ALL!r}\n{PRETENCE}")
    try:
        shown = [folder.run("supervisor", "status", *more, terminal=terminal) for more in ([], ["--json"])]
    finally:
        master.stop()
    for text in shown:
        assert harmless(text, terminal=terminal)
        assert "all is well" in text


@pytest.mark.parametrize(("form", "terminal"), [("text", True), ("json", False)], ids=["text", "json"])
def test_no_odd_text_forges_a_line_of_a_worker_s_log(folder: Folder, form: str, terminal: bool) -> None:
    folder.write(form)
    queue, name = folder.app.dispatcher.queue("default"), errands.give_up.name
    for odd in ODD:
        folder.app.dispatcher.options(label=odd, owner=odd).enqueue_by_name(name, text=odd)
        stranger = {"v": 1, "id": new_id(), "task": odd, "created": 1, "owner": odd}
        queue.broker.push([Message(stranger["id"], json.dumps(stranger).encode()), Message(odd[:36], odd.encode())])
    said = harmless(folder.run("taskqueue", "worker", "--drain", terminal=terminal), terminal=terminal)
    assert queue.broker.depth().total == 0
    if form == "json":
        assert len([json.loads(line)["message"] for line in said]) >= len(ODD)
    else:
        begun = [line for line in said if not line.startswith("    ")]
        assert len(begun) >= len(ODD)
        assert all(re.match(r"\d{4}-\d\d-\d\d [\d:.]+[+-]\d\d:\d\d [A-Z]+ +taskqueue", line) for line in begun)
