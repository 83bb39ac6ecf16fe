from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.own_servers import OwnServer, Unreachable
from tests.support.project import Project
from tests.support.servers import skip_or_fail


@pytest.fixture
def make_project(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    made: list[Project] = []

    def make(**options: object) -> Project:
        made.append(Project(tmp_path, **options))  # type: ignore[arg-type]  # the test says them
        return made[-1]

    yield make
    for project in made:
        project.close()


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    return make_project()


@pytest.fixture
def own() -> Iterator[Callable[[type[OwnServer]], OwnServer]]:
    """Starts a server of this test's own."""
    with ExitStack() as stack:

        def start(kind: type[OwnServer]) -> OwnServer:
            try:
                server = kind()
            except Unreachable as reason:
                skip_or_fail(str(reason))
            stack.callback(server.close)
            return server

        yield start
