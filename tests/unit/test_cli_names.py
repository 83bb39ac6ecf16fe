"""Other distributions that bring an import name of ours: a start-up check says so (a warning, or exit code 78)."""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

import pytest

from taskqueue.cli import names
from taskqueue.errors import ConfigurationError

FOREIGN = "# supervisord's\n"


def install(site: Path, *, name: str = "supervisor", package: str = "supervisor") -> Path:
    """A distribution as an installer leaves it behind."""
    module = site / package / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text(FOREIGN)
    info = site / f"{name.replace('-', '_')}-4.2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 4.2.5\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(FOREIGN.encode()).digest()).decode().rstrip("=")
    (info / "RECORD").write_text(f"{package}/__init__.py,sha256={digest},{len(FOREIGN)}\n")
    return module


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return tmp_path


def test_no_stranger_no_word(capsys):
    names.check()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("name", "package"), [("supervisor", "supervisor"), ("task-queue", "taskqueue")])
def test_a_stranger_is_warned_of_in_one_line(site, capsys, name, package):
    install(site, name=name, package=package)
    names.check()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"taskqueue: warning: the distribution '{name}' 4.2.5 is installed too")
    assert line.endswith(f"(pip uninstall {name})")


def test_a_stranger_whose_package_is_the_one_that_is_imported_is_an_error(site, monkeypatch):
    install(site)
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    monkeypatch.delitem(sys.modules, "supervisor", raising=False)
    with pytest.raises(ConfigurationError, match=r"`import supervisor` finds a stranger's code: .*pip uninstall"):
        names.check()


def test_what_we_have_overwritten_is_ours(site, monkeypatch, capsys):
    install(site).write_text('"""Ours."""\n')
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    monkeypatch.delitem(sys.modules, "supervisor", raising=False)
    names.check()
    assert "warning" in capsys.readouterr().err
