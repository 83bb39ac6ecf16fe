"""A supervisor with a web child on PostgreSQL, and a Chromium that looks at it: one of each for a whole session."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any
from urllib.request import urlopen

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.eventually import eventually
from tests.support.own_servers import Unreachable
from tests.support.servers import new_database, skip_or_fail
from tests.support.supervision import MODULES, RunningSupervisor, Site

QUEUES = "[queues.default]\nworkers = 2\n[queues.other]\nworkers = 1\n[queues.nobody]\nworkers = 0"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: of a phone, and of a screen
PHONE, SCREEN = (390, 844), (1280, 900)
#: a loaded machine is no failure
expect.set_options(timeout=10_000)


class Dashboard:
    """What a test looks at. `oddities` are errors of scripts, refusals of the policy, and dialogs of the browser."""

    def __init__(self, site: Site, supervisor: RunningSupervisor, url: str, browser: Browser) -> None:
        self.site = site
        self.supervisor = supervisor
        self.url = url
        self.browser = browser
        self.oddities: list[str] = []
        self.pages: list[Page] = []
        self._loop = asyncio.get_running_loop()  # Playwright's, which runs as long as it does

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Without Playwright's loop, which to others in this thread looks like one that they are inside of."""
        with _loop(None, then=self._loop):
            yield

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """With it, inside of `aside`."""
        with _loop(self._loop, then=None):
            yield

    def open(self, path: str = "/", *, size: tuple[int, int] = SCREEN, **context: Any) -> Page:
        """That page, in a browser that knows nothing yet."""
        width, height = size
        made = self.browser.new_context(
            base_url=self.url, viewport={"width": width, "height": height}, reduced_motion="reduce", **context
        )
        made.set_default_timeout(10_000)
        page = made.new_page()
        page.on("console", lambda said: said.type == "error" and self.oddities.append(said.text))
        page.on("pageerror", lambda error: self.oddities.append(f"{error}"))
        page.on("dialog", lambda dialog: (self.oddities.append(dialog.message), dialog.dismiss()))
        self.pages.append(page)
        page.goto(path)
        return page

    def close_pages(self) -> None:
        """Those that a test opened; no script may have complained."""
        for page in self.pages:
            page.context.close()
        self.pages.clear()
        found, self.oddities = self.oddities, []
        assert found == []

    def enqueue(self, task: Any, *arguments: Any, queue: str = "default", **options: Any) -> Any:
        """A task of these arguments; its handle."""
        return self.site.queue.options(queue=queue, **options).enqueue(task, *arguments)


def complaints(page: Page) -> list[str]:
    """What axe-core finds that is serious or critical: rule, and where."""
    found = Axe().run(page).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in grave]


def reload_marker(page: Page) -> None:
    """Let `was_reloaded` tell."""
    page.evaluate("window.stillHere = true")


def was_reloaded(page: Page) -> bool:
    """Whether the page was loaded anew since `reload_marker`."""
    return not page.evaluate("window.stillHere === true")


def free_port() -> int:
    """One that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def running_dashboard(
    folder: Path, *, queues: str = QUEUES, modules: str = MODULES, host: str = "first"
) -> Iterator[Dashboard]:
    """All of it."""
    program = which("chromium") or which("chromium-browser") or which("google-chrome")
    if program is None:
        skip_or_fail("no Chromium: install the package chromium")
    try:
        database = new_database("postgresql")
    except Unreachable as reason:
        skip_or_fail(f"{reason}")
    port = free_port()
    site = Site(
        folder,
        stores=f'url = "{database}"',
        queues=queues,
        modules=modules,
        supervisor=f'host = "{host}"\n[web]\nbind = "127.0.0.1:{port}"',
    )
    try:
        supervisor, url = site.start(), f"http://127.0.0.1:{port}"
        eventually(lambda: answers(f"{url}/healthz"), what="an answer of the web server")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
            yield Dashboard(site, supervisor, url, browser)
            browser.close()
    finally:
        finish(site)


@contextmanager
def _loop(running: asyncio.AbstractEventLoop | None, *, then: asyncio.AbstractEventLoop | None) -> Iterator[None]:
    asyncio._set_running_loop(running)
    try:
        yield
    finally:
        asyncio._set_running_loop(then)


def finish(site: Site) -> None:
    """As `Site.finish`, but for the tracebacks of tasks that are meant to fail."""
    try:
        for supervisor in site.supervisors:
            supervisor.end()
            eventually(lambda left=supervisor: not list(left.session()), what="an empty session")
            broken = [line for line in supervisor.output.splitlines() if " ERROR " in line and "taskqueue.web" in line]
            assert broken == []
        site.registers_are_empty()
    finally:
        for supervisor in site.supervisors:
            supervisor.clear_away()
            supervisor.show()
        site.close()


def answers(url: str) -> bool:
    """Whether somebody does."""
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
