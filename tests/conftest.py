from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

import hypothesis
import pytest


def pytest_configure() -> None:
    # A configuration of the person who runs the tests is none of the tests' business.
    os.environ.pop("TASKQUEUE_CONFIG", None)
    # Hundreds of programs are started, which would all compile the same modules.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # A loaded machine is no failure: `timeout` bounds a test, not each example.
    hypothesis.settings.register_profile("house", deadline=None)
    hypothesis.settings.load_profile("house")


@pytest.fixture(scope="session")
def unreachable() -> Callable[[str], NoReturn]:
    """What to call when a service that a test needs is absent: it skips, or fails where REQUIRE_SERVICES is set."""

    def skip_or_fail(reason: str) -> NoReturn:
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    return skip_or_fail
