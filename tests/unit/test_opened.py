"""What a module got before the fork follows what the master has read since."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import taskqueue
from taskqueue import opened, settings
from taskqueue.app import App
from taskqueue.errors import UnknownQueue
from taskqueue.opened import connect, open_app, settle
from taskqueue.task.function import set_default_dispatcher


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No application of another test is there, and none of this one stays."""
    monkeypatch.setattr(opened, "_apps", {})
    yield
    set_default_dispatcher(connect)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "config" / "taskqueue.toml", "old")


def write(file: Path, name: str, *, more: str = "") -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'[brokers.main]\nurl = "sqlite:///var/{name}.db"\n[queues.{name}]\n[queues.default]\n{more}')
    return file


def path_of(dispatcher: taskqueue.QueueDispatcher, queue: str = "default") -> str:
    return Path(dispatcher.queue(queue).database.dialect.path).name


def test_a_dispatcher_of_before_follows_new_settings(file):
    before = connect(file)
    assert path_of(before) == "old.db"
    log, mail = before.task_log, before.options(priority=1)
    assert log.broker is before.queue("old").task_log

    app = settle(settings.load(write(file, "new")))
    assert connect(file) is app.dispatcher is before
    assert path_of(before) == path_of(before, "new") == "new.db"
    assert before.task_log is log
    assert log.broker is before.queue("new").task_log
    assert mail._dispatcher is before
    with pytest.raises(UnknownQueue):
        before.queue("old")


def test_it_may_follow_more_than_once(file):
    before = connect(file)
    for name in ("one", "two", "three"):
        settle(settings.load(write(file, name)))
        assert path_of(before) == f"{name}.db"


def test_the_same_settings_change_nothing(file):
    before = connect(file)
    queue = before.queue("default")
    settle(settings.load(file))
    assert before.queue("default") is queue


@pytest.mark.parametrize("way", ["config/../config/taskqueue.toml", "./config/taskqueue.toml"])
def test_a_file_is_the_same_however_it_was_named(file, way):
    assert open_app(file.parents[1] / way) is open_app(file)
    before = connect(file.parents[1] / way)
    settle(settings.load(write(file, "new")))
    assert path_of(before) == "new.db"


def test_an_app_with_overrides_of_its_own_has_the_settings_too(file):
    before = open_app(file, sets=["queues.default.workers=7"])
    loaded = settings.load(write(file, "new"))
    settle(loaded)
    assert before.settings == loaded


def test_another_file_is_left_alone(file, tmp_path):
    other = connect(write(tmp_path / "other" / "taskqueue.toml", "other"))
    settle(settings.load(write(file, "new")))
    assert path_of(other) == "other.db"


def test_without_any_before_there_is_one_after(file):
    app = settle(settings.load(file))
    assert open_app(file) is app


# An app, before the fork


def test_warming_opens_nothing(file):
    App(settings.load(file)).warm()
    assert not (file.parents[1] / "var").exists()


def test_an_app_that_has_made_nothing_yet_has_nothing_to_hold(file):
    app = App(settings.load(file))
    app.become(settings.load(write(file, "new")))
    assert path_of(app.dispatcher) == "new.db"


def test_modules_are_imported_from_the_root_once(file, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "imported_once", raising=False)
    (file.parents[1] / "imported_once.py").write_text(
        "import builtins\nbuiltins.imported = getattr(builtins, 'imported', 0) + 1\n"
    )
    write(file, "old", more='[app]\nmodules = ["imported_once"]\n')
    for _ in range(2):
        App(settings.load(file)).import_modules()
    import builtins

    assert vars(builtins).pop("imported") == 1
    assert sys.path.count(str(file.parents[1])) == 1
    del sys.modules["imported_once"]
