from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.own_servers import OwnServer, Unreachable
from tests.support.project import Project
from tests.support.servers import skip_or_fail
from tests.support.supervision import RunningSupervisor, Site


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
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """A folder to run supervisors in. Each test ends by stopping them, and asserts that nothing is left."""
    made: list[Site] = []

    def make(**parts: str) -> Site:
        made.append(Site(tmp_path, **parts))
        return made[-1]

    yield make
    for site in made:
        site.finish()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def supervisor(site: Site) -> RunningSupervisor:
    return site.start()


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


@pytest.fixture(scope="session")
def shared_dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("dashboard")) as dashboard, dashboard.aside():
        yield dashboard


@pytest.fixture
def dashboard(shared_dashboard: Dashboard) -> Iterator[Dashboard]:
    """One for all tests of this process; what they enqueue stays. No page may complain."""
    with shared_dashboard.in_use():
        yield shared_dashboard
        shared_dashboard.close_pages()
