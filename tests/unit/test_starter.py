"""A starter configuration is one that works, and nothing that was there is touched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomli

from supervisor import starter
from taskqueue import settings
from taskqueue.errors import TaskQueueError
from tests.support.programs import ROOT

ENVIRON = {"DATABASE_URL": "postgresql+psycopg://db/shop"}


def read(text: str) -> settings.Settings:
    return settings.parse(text, file=Path("/srv/shop/config/taskqueue.toml"), environ=ENVIRON)


@pytest.mark.parametrize("store", starter.STORES)
class TestConfiguration:
    def test_it_is_accepted_and_names_its_store(self, store):
        read_ = read(starter.configuration(store))

        assert read_.app.modules == ("tasks",)
        assert read_.brokers["main"].scheme == {"mysql": "postgresql"}.get(store, store)  # what the variable says

    def test_its_comments_show_what_holds_and_what_may_be(self, store):
        text = starter.configuration(store)
        full = re.sub(r"^#(?! |$)", "", text, flags=re.MULTILINE)
        shown, silent = read(full), read(text)

        assert shown.queues["default"] == silent.queues["default"]
        assert (shown.supervisor, shown.logging) == (silent.supervisor, silent.logging)
        assert set(shown.queues) == {"default", "mail"}
        assert tomli.loads(full) != tomli.loads(text)

    def test_a_server_is_named_by_the_environment_so_that_no_password_is_written(self, store):
        assert "://USER:PASSWORD@" not in starter.configuration(store)
        if store in ("postgresql", "mysql"):
            with pytest.raises(TaskQueueError, match=re.escape("${DATABASE_URL} is not set")):
                settings.parse(starter.configuration(store), environ={})

    def test_three_commands_follow(self, store, tmp_path):
        done = starter.start(tmp_path, store=store)

        assert len(done.commands) == 3
        assert done.commands[0].startswith(f"cd {tmp_path} && ")
        assert "supervisor run" in " ".join(done.commands)


def test_an_empty_folder_gets_both_files(tmp_path):
    done = starter.start(tmp_path / "a" / "b")

    assert [str(file.relative_to(tmp_path)) for file in done.written] == ["a/b/tasks.py", "a/b/config/taskqueue.toml"]
    assert done.kept == ()
    assert (tmp_path / "a/b/tasks.py").read_text() == starter.TASKS


def test_in_this_folder_nobody_has_to_change_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert starter.start(Path()).commands[0] == "supervisor run"


def test_a_second_time_changes_nothing(tmp_path):
    starter.start(tmp_path)
    (tmp_path / "config/taskqueue.toml").write_text("# mine")
    (tmp_path / "tasks.py").unlink()
    done = starter.start(tmp_path, store="sqs")

    assert (done.written, done.kept) == ((), (tmp_path / "config/taskqueue.toml",))
    assert (tmp_path / "config/taskqueue.toml").read_text() == "# mine"
    assert not (tmp_path / "tasks.py").exists()


def test_a_module_or_package_of_that_name_stays(tmp_path):
    for folder, file in (("module", "tasks.py"), ("package", "tasks/__init__.py")):
        (tmp_path / folder / file).parent.mkdir(parents=True)
        (tmp_path / folder / file).write_text("# mine")
        done = starter.start(tmp_path / folder)

        assert (tmp_path / folder / file).read_text() == "# mine"
        assert done.written == (tmp_path / folder / "config/taskqueue.toml",)
        assert done.kept == (tmp_path / folder / file.split("/")[0],)
        assert not any("tasks:hello" in command for command in done.commands)


def test_a_link_that_leads_nowhere_is_there(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/taskqueue.toml").symlink_to(tmp_path / "elsewhere")

    assert starter.start(tmp_path).written == ()
    assert not (tmp_path / "elsewhere").exists()


def test_what_cannot_be_written_is_told_in_a_line(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/config").touch()

    with pytest.raises(TaskQueueError, match=r"/file is no folder: move it away"):
        starter.start(tmp_path / "file")
    with pytest.raises(TaskQueueError, match=r"/odd/config is no folder: move it away"):
        starter.start(tmp_path / "odd")
    with pytest.raises(TaskQueueError, match="cannot be written"):
        starter.start(Path("/proc/nowhere"))
    with pytest.raises(TaskQueueError, match="cannot be written"):
        starter.start(Path("a\0b"))


def test_a_full_disk_leaves_no_half_configuration(tmp_path):
    program = (
        "import pathlib, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from supervisor import starter; starter.start(pathlib.Path(sys.argv[1]))"
    )
    ended = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, capture_output=True, text=True)

    assert "cannot be written: File too large" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "config/taskqueue.toml").exists()
    starter.start(tmp_path)


def test_the_first_steps_work(tmp_path):
    starter.start(tmp_path)
    environ = {key: value for key, value in os.environ.items() if key != "TASKQUEUE_CONFIG"} | {"PYTHONPATH": str(ROOT)}

    def taskqueue(*args: str) -> str:
        command = [sys.executable, "-W", "error", "-m", "taskqueue", *args]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True).stdout

    assert "tasks:hello" in taskqueue("check")
    taskqueue("enqueue", "tasks:hello", "name=world")
    taskqueue("worker", "--drain")
    assert "completed" in taskqueue("log", "list")
