"""What comes from strangers is text, and who may do what is kept to, in a real browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.support import tasks
from tests.support.dashboard import Dashboard, answers, free_port
from tests.support.eventually import eventually
from tests.support.project import REPOSITORY

pytestmark = pytest.mark.process

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)><b>bold</b>\" onfocus=alert(3) autofocus x='{{7*7}}"
TOKENS = """
[web.tokens.ann]
token = "ann-{0}"
role = "user"
[web.tokens.rita]
token = "rita-{0}"
role = "reader"
[web.tokens.otto]
token = "otto-{0}"
role = "operator"
"""
SECRET = "0123456789abcdef0123"


def test_what_tasks_carry_is_text_and_nothing_of_it_runs(dashboard: Dashboard):
    failed = dashboard.enqueue(tasks.fails, SCRIPT, owner=SCRIPT, label=SCRIPT)
    running = dashboard.enqueue(tasks.says_progress, SCRIPT)
    assert failed.wait(20)
    page = dashboard.open("/")
    for path in ("/", "/tasks", f"/tasks/{failed.id}", f"/tasks/{running.id}"):
        page.goto(path)
        expect(page.locator("#page")).not_to_be_empty()
        assert page.locator("#page script, #page img, #page [onfocus], #page b b, #page td b").count() == 0
    page.goto(f"/tasks/{failed.id}")
    expect(page.locator("h1")).to_contain_text(SCRIPT)
    expect(page.locator("#report")).to_contain_text(SCRIPT)
    expect(page.locator("#parameters")).to_contain_text(SCRIPT)
    page.get_by_role("definition").get_by_role("link", name=SCRIPT).first.click()
    expect(page.locator("#bulk tbody tr")).to_have_count(1)
    page.goto("/tasks?label=" + "%3Cscript%3Ealert(1)%3C/script%3E&since=%3Cb%3E")
    expect(page.get_by_text("'<b>' is no time")).to_be_visible()


def test_a_mark_of_direction_is_written_out(dashboard: Dashboard):
    handle = dashboard.enqueue(tasks.add, 1, 2, label="abc\u202edef")
    page = dashboard.open(f"/tasks/{handle.id}")
    expect(page.locator("h1")).to_contain_text("abc\\u202edef")


@pytest.fixture(scope="module")
def guarded(shared_dashboard: Dashboard) -> Iterator[str]:
    """The address of a server of the same store that asks for tokens."""
    site, port = shared_dashboard.site, free_port()
    config = site.folder / "tokens.toml"
    config.write_text(f"{site.config.read_text()}{TOKENS.format(SECRET)}")
    log = (site.folder / "web.log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-m", "taskqueue", "--config", str(config), "web", "--bind", f"127.0.0.1:{port}"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=log,
        stderr=log,
    )
    eventually(lambda: answers(f"http://127.0.0.1:{port}/healthz"), what="an answer of the web server")
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(20)
    log.close()


def login(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_label("Token").fill(f"{name}-{SECRET}")
    page.get_by_role("button", name="Log in").click()


def test_a_user_sees_what_is_theirs_and_nothing_of_the_fleet(dashboard: Dashboard, guarded: str):
    mine = dashboard.enqueue(tasks.fails, owner="ann", label=uuid4().hex)
    other = dashboard.enqueue(tasks.fails, owner="bo")
    assert mine.wait(20)
    page = dashboard.open(f"{guarded}/")
    login(page, "ann")
    expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
    expect(page.get_by_role("link", name="Fleet")).to_have_count(0)
    expect(page.locator(f"#t-{mine.id}")).to_be_visible()
    expect(page.locator(f"#t-{other.id}")).to_have_count(0)
    answer = page.goto(f"{guarded}/tasks/{other.id}")
    assert answer is not None
    assert answer.status == 404
    for path in ("/fleet", "/health"):
        answer = page.goto(f"{guarded}{path}")
        assert answer is not None
        assert answer.status == 403
    page.goto(f"{guarded}/tasks/{mine.id}")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("link", name=mine.id)).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(f"{guarded}/tasks/{mine.id}")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    dashboard.oddities.clear()  # the browser speaks of every 403 and 404


def test_a_reader_sees_all_and_changes_nothing(dashboard: Dashboard, guarded: str):
    handle = dashboard.enqueue(tasks.fails, owner="ann")
    assert handle.wait(20)
    page = dashboard.open(f"{guarded}/tasks/{handle.id}")
    login(page, "rita")
    expect(page.locator("#status")).to_have_text("failed")
    for path in (f"/tasks/{handle.id}", "/tasks", "/fleet"):
        page.goto(f"{guarded}{path}")
        expect(page.locator("#page form button")).to_have_count(0)
    refused = page.request.post(f"{guarded}/tasks/{handle.id}/retry", headers={"Origin": guarded})
    assert refused.status == 403


def test_a_wrong_token_is_refused_and_nobody_is_led_elsewhere(dashboard: Dashboard, guarded: str):
    page = dashboard.open(f"{guarded}/login?next=//evil.example/")
    page.get_by_label("Token").fill("not-a-token-of-anybody")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("This token is not known here.")).to_be_visible()
    login(page, "otto")
    expect(page.get_by_role("heading", name="Overview")).to_be_attached()
    assert page.url.startswith(guarded)
    dashboard.oddities.clear()  # the browser speaks of the 401


def test_a_session_that_ends_leads_back_to_the_login(dashboard: Dashboard, guarded: str):
    page = dashboard.open(f"{guarded}/fleet")
    login(page, "otto")
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    page.context.clear_cookies()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    dashboard.oddities.clear()  # the browser speaks of the 401
