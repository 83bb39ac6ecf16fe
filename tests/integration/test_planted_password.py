"""The watch over the planted password sees it wherever it gets out, and only there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import ROOT

WORD = "pl4nted-by-this-t3st"
CONFTEST = f"""
from tests.support import planted

def pytest_configure(config):
    planted.watch(config, "".join({list(WORD)!r}))
"""
TESTS = """
import logging, os, sys
WORD = "".join({letters!r})

def test_it(tmp_path):
    {body}
"""
LEAKS = {
    "printed": "print(f'postgresql://ann:{WORD}@db')",
    "on stderr": "sys.stderr.write(WORD)",
    "by a child": "os.system(f'echo {WORD}')",
    "logged": "logging.getLogger('x').error('no answer from %s', WORD)",
    "a log file": "(tmp_path / 'supervisor-0.log').write_text('x' * 100_000 + WORD)",
    "in binary": "(tmp_path / 'deep').mkdir(); (tmp_path / 'deep' / 'tasks.db').write_bytes(bytes(99) + WORD.encode())",
}
KEPT = {
    "nothing": "pass",
    "a configuration": "(tmp_path / 'taskqueue.toml').write_text(WORD)",
    "masked": "print('postgresql://ann:***@db')",
}


def ran(folder: Path, body: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "suite").mkdir()
    (folder / "suite" / "conftest.py").write_text(CONFTEST)
    (folder / "suite" / "test_it.py").write_text(TESTS.format(letters=list(WORD), body=body))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *options]
    places = ["-c", "/dev/null", "--rootdir", str(folder / "suite"), "--basetemp", str(folder / "inner")]
    return subprocess.run(
        [*command, *places, str(folder / "suite")], cwd=ROOT, capture_output=True, text=True, timeout=50
    )


@pytest.mark.parametrize("how", LEAKS)
def test_a_password_that_gets_out_fails_the_run_although_its_tests_pass(tmp_path: Path, how: str) -> None:
    found = ran(tmp_path, LEAKS[how])
    assert found.returncode == 1, found.stdout + found.stderr
    assert "the planted password got out" in found.stdout
    assert "1 passed" in found.stdout


@pytest.mark.parametrize("how", KEPT)
def test_a_password_that_is_kept_fails_nothing(tmp_path: Path, how: str) -> None:
    found = ran(tmp_path, KEPT[how])
    assert found.returncode == 0, found.stdout + found.stderr


def test_it_is_found_in_the_folders_of_processes_that_share_the_tests(tmp_path: Path) -> None:
    found = ran(tmp_path, LEAKS["a log file"], "-n", "1")
    assert found.returncode == 1, found.stdout + found.stderr
    assert "supervisor-0.log" in found.stdout
