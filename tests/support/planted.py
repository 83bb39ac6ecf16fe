"""The password that the suite's URLs have, and a watch over all that the suite puts out: it may be nowhere (P19).

Looked through are what each test printed and logged, and every file in its folder, supervisors' and workers' logs among
them. What is to hold it says so: configurations, and files that a configuration reads it from.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

PASSWORD = "s3cret"
#: names of files that hold it by purpose end so
HOLDERS = (".toml", ".password", "database_password", "database_url")


def watch(config: pytest.Config, password: str = PASSWORD) -> None:
    """Fail this run at its end if the password is found. Of processes that share the tests the first one looks."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Watch(config, password), "planted password")


class Watch:
    """Hears of every test's output, and looks through the folders in the end."""

    def __init__(self, config: pytest.Config, password: str) -> None:
        self._config = config
        self._password = password
        self.found: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for title, text in report.sections:
            if self._password in text:
                self.found.append(f"{report.nodeid}, {title}: {_around(text, self._password)}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        folder = self._config._tmp_path_factory._basetemp  # never made where no test asked for one
        if folder is not None:
            self.found.extend(f"{file}" for file in holding(folder, self._password.encode()))
        if self.found:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.found:
            terminalreporter.section("the planted password got out", red=True)
            for line in dict.fromkeys(self.found):
                terminalreporter.line(line)


def holding(folder: Path, password: bytes) -> Iterator[Path]:
    """Files below that have it, but for those that are to."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            if not name.endswith(HOLDERS) and _has(file, password):
                yield file


def _has(file: Path, password: bytes) -> bool:
    try:
        found = file.lstat()
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            return False
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(password) >= 0
    except OSError:  # it has gone, or nobody may read it
        return False


def _around(text: str, password: str) -> str:
    place = text.index(password)
    return repr(text[max(0, place - 60) : place + 60])
