"""The pytest plugin. Whoever does not ask for its fixture pays for nothing but this page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from taskqueue.testing.kit import Kit


@pytest.fixture
def taskqueue_testing() -> Iterator[Kit]:
    """All queues of this process in memory, worked off when the test says so: a `taskqueue.testing.Kit`."""
    from taskqueue.testing.kit import Kit

    with Kit() as kit:
        yield kit
