from __future__ import annotations

import compileall
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

from taskqueue.settings.cpus import usable
from tests.support import forked, planted

ROOT = Path(__file__).parents[1]
#: each has connections to servers that allow a hundred
AT_MOST = 8


def pytest_configure(config: pytest.Config) -> None:
    planted.watch(config)
    if not hasattr(config, "workerinput"):
        # For a thousand programs that the tests start. They write none: some of them have a full disk.
        for package in ("taskqueue", "supervisor", "tests/support"):
            compileall.compile_dir(ROOT / package, quiet=2)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    # A configuration of the person who runs the tests is none of the tests' business.
    os.environ.pop("TASKQUEUE_CONFIG", None)
    # A loaded machine is no failure: `timeout` bounds a test, not each example.
    hypothesis.settings.register_profile("house", deadline=None)
    hypothesis.settings.load_profile("house")


@pytest.hookimpl(optionalhook=True)  # without xdist nobody asks
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: part of their time the tests wait, for a lease's end or a server's start."""
    return max(2, min(usable() + 1, AT_MOST))


@pytest.fixture(scope="session")
def unreachable() -> Callable[[str], NoReturn]:
    """What to call when a service that a test needs is absent: it skips, or fails where REQUIRE_SERVICES is set."""

    def skip_or_fail(reason: str) -> NoReturn:
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    return skip_or_fail


@pytest.fixture(autouse=True)
def _fresh_interpreters(request: pytest.FixtureRequest) -> None:
    """Whether programs start in interpreters of their own (see `tests.support.forked`)."""
    wanted = any(request.node.get_closest_marker(name) for name in ("fresh", "soak"))
    forked.Preference.fresh = wanted
