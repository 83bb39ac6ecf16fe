from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn

import hypothesis
import pytest

from tests.support import planted


def pytest_configure(config: pytest.Config) -> None:
    planted.watch(config)
    # A configuration of the person who runs the tests is none of the tests' business.
    os.environ.pop("TASKQUEUE_CONFIG", None)
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
