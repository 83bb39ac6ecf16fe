"""What `supervisor run --dev` changes of a configuration, and which files it watches."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import watchfiles

from supervisor import dev, reloader, tether
from taskqueue import settings
from taskqueue.errors import TaskQueueError
from tests.support.programs import ROOT
from tests.support.shell import Screen

MAIN = '[brokers.main]\nurl = "sqlite:///app.db"\n'


def read(text: str, *, file: Path = Path("/srv/shop/config/taskqueue.toml")) -> settings.Settings:
    return settings.parse(MAIN + text, file=file, environ={})


def test_pools_of_several_workers_have_one_and_those_of_none_keep_none():
    text = (
        "[queues.default]\nworkers = 3\n[queues.'a b']\nworkers = 'cpus'\n[queues.c]\n[queues.d]\nworkers = 0\n"
        "[pools.p]\nqueues = ['d']\nworkers = 2\n[supervisor]\ngrace = 1"
    )
    set_ = read(text, file=Path("x.toml"))
    cpus = {'queues."a b".workers=1'} if set_.queues["a b"].workers > 1 else set()

    assert set(dev.overrides(set_)) == {"queues.default.workers=1", "pools.p.workers=1"} | cpus


def test_what_it_overrides_is_accepted():
    text = MAIN + "[queues.'a b']\nworkers = 2\n[logging]\nformat = 'json'"
    said = dev.overrides(settings.parse(text, environ={}))
    read_ = settings.parse(text, sets=said, environ={})

    assert read_.queues["a b"].workers == 1
    assert read_.supervisor.grace == dev.GRACE


def test_a_person_at_a_terminal_reads_text(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Screen())

    assert "logging.format=text" in dev.overrides(read("[logging]\nformat = 'json'"))
    assert "logging.format=text" not in dev.overrides(read(""))


class TestPlaces:
    def test_the_folder_of_the_application_and_what_stands_elsewhere(self, tmp_path, monkeypatch):
        for name in ("app/config", "app/shop", "lib/books"):
            (tmp_path / name).mkdir(parents=True)
        for name in ("app/shop/__init__.py", "lib/books/__init__.py", "lib/single.py", "app/config/q.toml"):
            (tmp_path / name).write_text("raise AssertionError('it was imported')")
        monkeypatch.syspath_prepend(tmp_path / "lib")
        modules = ["shop.tasks", "books.tasks", "single", "msgspec", "nowhere.tasks", "sys", ""]
        set_ = read(f"[app]\nmodules = {modules}", file=tmp_path / "app/config/q.toml")

        assert dev.places(set_) == [tmp_path / "app", tmp_path / "lib/books", tmp_path / "lib/single.py"]

    def test_a_configuration_that_stands_elsewhere_is_watched_too(self, tmp_path):
        (tmp_path / "code").mkdir()
        (tmp_path / "q.toml").touch()

        assert dev.places(read("[app]\nroot = 'code'", file=tmp_path / "q.toml")) == [
            tmp_path / "code",
            tmp_path / "q.toml",
        ]

    def test_sources_and_the_configuration_count_and_nothing_else(self, tmp_path):
        wanted = dev._wanted(read("", file=tmp_path / "q.toml"))
        paths = ["a.py", "q.toml", "other.toml", "app.db", "a.pyc", "__pycache__/a.py", ".venv/a.py", ".git/a.py"]

        assert [path for path in paths if wanted(watchfiles.Change.modified, str(tmp_path / path))] == [
            "a.py",
            "q.toml",
        ]


def test_without_watchfiles_it_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)

    with pytest.raises(TaskQueueError, match=r"pip install 'taskqueue-supervisor\[reload\]'"):
        dev.run()


def test_files_that_cannot_be_watched_are_told_of(tmp_path, capsys, monkeypatch):
    def too_many(*_places, **_options):
        raise OSError(28, "OS file watch limit reached.")

    monkeypatch.setattr(watchfiles, "watch", too_many)
    with dev._watcher([tmp_path], lambda *_: True)(lambda: None):
        pass

    assert "files are no longer watched: [Errno 28] OS file watch limit reached" in capsys.readouterr().err


def test_a_program_that_cannot_be_started_raises_and_leaves_the_signals_as_they_were():
    before = signal.getsignal(signal.SIGINT)

    def nothing() -> list[str]:
        raise TaskQueueError("nothing to start")

    with pytest.raises(TaskQueueError, match="nothing to start"):
        reloader.Reloader(nothing, patience=1, say=print).run(lambda _changed: contextlib.nullcontext())
    assert signal.getsignal(signal.SIGINT) is before


def test_a_program_whose_parent_is_gone_does_not_begin(tmp_path):
    command = tether.command(["touch", str(tmp_path / "begun")])
    command[4] = str(2**22 + 1)  # more than Linux gives out

    assert subprocess.run(command, cwd=ROOT).returncode == 143
    assert not (tmp_path / "begun").exists()
