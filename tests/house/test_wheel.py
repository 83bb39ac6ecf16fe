"""What is installed from the wheel is the whole library, and the first program runs on it."""

from __future__ import annotations

import email
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

# Installing from an index takes what it takes.
pytestmark = [pytest.mark.timeout(300), pytest.mark.process]

ROOT = Path(__file__).parents[2]
PACKAGES = ("taskqueue", "supervisor")
CONFIG = """
[app]
modules = ["hello"]
[brokers.main]
url = "sqlite:///hello.db"
"""
PROGRAM = """
import taskqueue

@taskqueue.task
def hello(name: str) -> str:
    return f"hello {name}"

if __name__ == "__main__":
    handle = taskqueue.connect().enqueue(hello, "world")
    print(handle.id)
"""


def run(*command: str | Path, cwd: Path) -> str:
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, f"{command} exit {ended.returncode}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def bin_of_new_environment(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, unreachable: Callable[[str], NoReturn]
) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", "env", cwd=folder)
    pip = [sys.executable, "-m", "pip", "--python", folder / "env/bin/python", "--disable-pip-version-check"]
    installed = subprocess.run([*pip, "install", "--quiet", "--no-compile", wheel], capture_output=True, text=True)
    if "NewConnectionError" in installed.stderr or "ReadTimeout" in installed.stderr:
        unreachable(f"no package index: {installed.stderr.splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr
    return folder / "env/bin"


def test_the_wheel_holds_both_packages_whole_and_nothing_else(contents: dict[str, bytes]) -> None:
    files = {path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    expected = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    assert {name for name in contents if ".dist-info/" not in name} == expected


def test_the_wheel_is_typed(contents: dict[str, bytes]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= contents.keys()


def test_the_wheel_brings_its_migrations(contents: dict[str, bytes]) -> None:
    migrations = [name for name in contents if name.startswith("taskqueue/database/migrations/versions/")]
    assert any(name.endswith(".py") for name in migrations)
    assert "taskqueue/database/migrations/env.py" in contents


def test_the_wheel_says_what_it_is(contents: dict[str, bytes]) -> None:
    (name,) = (name for name in contents if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(contents[name])
    version = next(line for line in contents["taskqueue/__init__.py"].decode().splitlines() if "__version__ =" in line)
    assert metadata["Name"] == "taskqueue-supervisor"
    assert metadata["Version"] == version.split('"')[1]
    assert metadata["License-Expression"] == "MIT"
    assert {"postgresql", "mysql"} <= set(metadata.get_all("Provides-Extra", []))
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in contents)


def test_every_entry_point_leads_somewhere(bin_of_new_environment: Path, tmp_path: Path) -> None:
    program = """
from importlib.metadata import distribution
for point in distribution("taskqueue-supervisor").entry_points:
    if point.group != "pytest11":  # needs pytest, which an application need not have
        point.load()
        print(point.name)
"""
    names = run(bin_of_new_environment / "python", "-c", program, cwd=tmp_path).split()
    assert {"taskqueue", "supervisor", "memory", "sqlite"} <= set(names)


def test_the_first_program_runs(bin_of_new_environment: Path, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/taskqueue.toml").write_text(CONFIG)
    (tmp_path / "hello.py").write_text(PROGRAM)
    python, taskqueue = bin_of_new_environment / "python", bin_of_new_environment / "taskqueue"
    task_id = run(python, "hello.py", cwd=tmp_path).strip()
    run(taskqueue, "worker", "default", "--drain", cwd=tmp_path)
    assert "completed" in run(taskqueue, "log", "list", cwd=tmp_path)
    assert "hello world" in run(taskqueue, "log", "show", task_id, cwd=tmp_path)


def test_the_supervisor_is_asked_for_its_workers(bin_of_new_environment: Path, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/taskqueue.toml").write_text(CONFIG)
    answer = subprocess.run(
        [bin_of_new_environment / "supervisor", "status"], capture_output=True, text=True, cwd=tmp_path
    )
    assert (answer.returncode, answer.stdout) == (3, "")
    assert answer.stderr.count("\n") == 1
    assert "the supervisor is not running" in answer.stderr
