from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.backends import BACKENDS, Backend, OpenBroker
from tests.support.clock import FakeClock
from tests.support.task_logs import LOG_BACKENDS, LogBackend, OpenTaskLog, Story


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param


@pytest.fixture
def open_broker(backend: Backend, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[OpenBroker]:
    """Opens handles on one empty store. `requires("leases")` on a test leaves out the brokers that cannot."""
    with ExitStack() as handles:
        opener = backend.connect(tmp_path, handles)
        capabilities = opener().capabilities
        for mark in request.node.iter_markers("requires"):
            for capability in mark.args:
                if not getattr(capabilities, capability):
                    pytest.skip(f"{backend.name} has no {capability}")
        yield opener


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=LOG_BACKENDS, ids=lambda backend: backend.name)
def log_backend(request: pytest.FixtureRequest) -> LogBackend:
    return request.param


@pytest.fixture
def open_task_log(log_backend: LogBackend, tmp_path: Path, clock: FakeClock) -> Iterator[OpenTaskLog]:
    """Opens handles on one empty task log."""
    with ExitStack() as handles:
        yield log_backend.connect(tmp_path, handles, clock)


@pytest.fixture
def story(open_task_log: OpenTaskLog, clock: FakeClock) -> Story:
    return Story(open_task_log(), clock)
