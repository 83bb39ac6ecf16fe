"""Bad input at the command line, as real processes: one clear line on stderr, the right exit code, nothing lost."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest

from tests.support.folder import ADD, AS_ANYBODY, GOOD, HEAD, ON_A_FULL_DISK, QUEUE, SECRET, Folder
from tests.support.project import REPOSITORY

pytestmark = pytest.mark.process


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


# The configuration


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (GOOD + "wieght = 3", "taskqueue.toml [queues.default]: unknown key 'wieght', did you mean 'weight'?"),
        (
            GOOD + 'weight = "many"',
            "taskqueue.toml [queues.default] weight: expected a whole number from 1, not 'many'",
        ),
        (GOOD + "weight = ", "taskqueue.toml, line 6, column 10: not TOML: "),
        (HEAD + '[brokers.main]\nurl = "${NO_SUCH_VARIABLE}"\n' + QUEUE, "${NO_SUCH_VARIABLE} is not set: set it, or"),
        (
            HEAD + f'[brokers.main]\nurl = "foo://ann:{SECRET}@host/x"\n' + QUEUE,
            "no broker for 'foo://'; known: mariadb, memory, mysql",
        ),
        (HEAD + f'[brokers.main]\nurl = "foo:ann:{SECRET}@host"\nlimit = 3\n' + QUEUE, "taskqueue.toml [brokers.main]"),
        (HEAD + f'[brokers.main]\nurl = ["foo://ann:{SECRET}@host/x"]\n' + QUEUE, "taskqueue.toml [brokers.main] url"),
        (HEAD + '[brokers.main]\nurl = "sqlite:///no/such/folder/tasks.db"\n' + QUEUE, "there is no folder "),
        (GOOD.replace("errands", "nothing_of_that_name"), "cannot import 'tests.support.nothing_of_that_name' (from "),
        ("\x00", "not TOML"),
    ],
)
def test_a_configuration_that_cannot_work_is_exit_code_78(folder, config, line):
    """P18, P19."""
    folder.configure(config)
    said = folder.refused("worker", "--once", code=78)
    assert line in said
    assert list(folder.path.iterdir()) == [folder.path / "taskqueue.toml"]


def test_every_problem_of_a_configuration_has_its_line(folder):
    folder.configure(GOOD + 'wieght = 3\nlease = "soon"\n')
    ended = folder.run("queues")
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (78, "", 2)
    assert all(line.startswith("taskqueue: ") for line in ended.err.splitlines())


@pytest.mark.parametrize(("file", "why"), [("no_such.toml", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(folder, file, why):
    said = folder.refused("--config", file, "init", code=78)
    assert said.startswith(f"{folder.path / file} cannot be read: {why}")


def test_without_a_configuration_it_says_where_it_looked(folder, monkeypatch):
    process = subprocess.run(
        [sys.executable, "-m", "taskqueue", "init"],
        cwd=folder.path,
        env={name: value for name, value in os.environ.items() if name != "TASKQUEUE_CONFIG"}
        | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 78
    first, *example = process.stderr.splitlines()
    assert first.startswith("taskqueue: no configuration: --config is not given, $TASKQUEUE_CONFIG is not set, and ")
    assert all(line.startswith("    ") for line in example)


# The store


@pytest.mark.parametrize("args", [("init",), ("log", "list"), ("enqueue", ADD, "a=1"), ("keeper", "--once")])
def test_a_text_file_is_no_database_and_stays_as_it_is(folder, args):
    folder.database.write_text("Dear diary, " * 500)
    assert folder.refused(*args, code=78).endswith("tasks.db: the file is not a SQLite database; name another one")
    assert folder.database.read_text() == "Dear diary, " * 500


def test_a_database_of_the_application_is_shared(folder):
    folder.change("CREATE TABLE orders (id INTEGER)", "INSERT INTO orders VALUES (1)")
    task_id = folder.add()
    assert folder.ids() == [task_id]
    with contextlib.closing(sqlite3.connect(folder.database)) as connection:
        assert connection.execute("SELECT * FROM orders").fetchall() == [(1,)]


def test_a_damaged_database_is_told_of_and_left_alone(folder):
    folder.add()
    size = folder.database.stat().st_size
    with folder.database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    before = folder.database.read_bytes()
    for args in (("log", "list"), ("enqueue", ADD, "a=1")):
        assert "tasks.db: the file is damaged; stop what uses it, keep a copy, and restore a backup" in folder.refused(
            *args, code=1
        )
    assert folder.database.read_bytes() == before


@pytest.mark.parametrize(
    ("statements", "line"),
    [
        (
            [
                "UPDATE taskqueue_version SET version_num = '0999'",
                "UPDATE taskqueue_meta SET value = '0999' WHERE name = 'oldest_release'",
            ],
            "its schema 0999 is newer than this release knows (0001); upgrade taskqueue-supervisor here",
        ),
        (["UPDATE taskqueue_version SET version_num = '0000'"], "says '0000', which is no schema of any release"),
        (["UPDATE taskqueue_version SET version_num = 'abc'"], "says 'abc', which is no schema of any release"),
        (["DELETE FROM taskqueue_version"], "says None, which is no schema of any release; restore a backup"),
    ],
)
def test_a_schema_that_does_not_fit_is_exit_code_78_and_is_not_touched(folder, statements, line):
    """P21."""
    folder.run("init")
    folder.change(*statements)
    before = folder.database.read_bytes()
    for args in (("init",), ("log", "list")):
        said = folder.refused(*args, code=78)
        assert "tasks.db: " in said
        assert line in said
    assert folder.database.read_bytes() == before


def test_a_newer_schema_that_says_we_can_live_with_it_is_used(folder):
    """P21."""
    task_id = folder.add()
    folder.change("UPDATE taskqueue_version SET version_num = '0002'")
    assert folder.ids() == [task_id]


@pytest.mark.skipif(sys.platform != "linux" and os.geteuid() == 0, reason="root may write anywhere here")
def test_a_database_that_may_only_be_read_is_told_of(folder):
    task_id = folder.add()
    for file in folder.path.glob("tasks.db*"):
        file.chmod(0o444)
    folder.path.chmod(0o555)
    try:
        enqueuing = folder.refused("enqueue", ADD, "a=1", code=1, first=AS_ANYBODY)
        working = folder.refused("worker", "--once", "--log-level", "warning", code=1, first=AS_ANYBODY)
    finally:
        folder.path.chmod(0o755)
    assert "tasks.db: cannot be written; give this user write access to the file and to its folder" in enqueuing
    assert "give this user write access" in working
    for file in folder.path.glob("tasks.db*"):
        file.chmod(0o644)
    assert folder.ids() == [task_id]


def test_a_full_disk_loses_nothing(folder):
    task_id = folder.add()
    large = [f"{name}={'x' * 120_000}" for name in ("text", "more")]
    said = folder.refused("enqueue", "shop:mail", *large, "--by-name", code=1, first=ON_A_FULL_DISK)
    assert "tasks.db: " in said
    assert "full" in said
    assert folder.ids() == [task_id]
    assert folder.add() in folder.ids()
