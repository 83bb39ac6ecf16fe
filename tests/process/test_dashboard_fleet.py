"""The pages Overview, Fleet and Health, in a real browser."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page, expect

from tests.support import tasks
from tests.support.dashboard import Dashboard, reload_marker, was_reloaded
from tests.support.eventually import eventually
from tests.support.servers import administer, end_sessions

pytestmark = pytest.mark.process


def row(page: Page, name: str) -> Locator:
    return page.locator("tr", has=page.get_by_role("rowheader", name=name, exact=True))


def pool(page: Page, name: str) -> Locator:
    return page.locator(".pool", has=page.get_by_role("heading", name=name, exact=True))


def sure(page: Page, word: str) -> None:
    page.locator("#ask").get_by_role("button", name=word).click()


def test_the_overview_shows_what_happens_as_it_happens(dashboard: Dashboard):
    page = dashboard.open("/")
    reload_marker(page)
    expect(page.locator("#live")).to_have_text("live")
    handle = dashboard.enqueue(tasks.until_cancelled, str(dashboard.site.ledger))
    expect(page.get_by_role("link", name="tests.support.tasks:until_cancelled")).to_be_visible()
    expect(page.locator("#chart canvas")).to_be_visible()
    handle.cancel()
    expect(page.get_by_role("link", name="tests.support.tasks:until_cancelled")).to_have_count(0)
    assert not was_reloaded(page)


def test_tasks_that_nobody_serves_are_told_of(dashboard: Dashboard):
    dashboard.enqueue(tasks.add, 1, 2, queue="nobody")
    page = dashboard.open("/")
    expect(page.get_by_text("in queue nobody and no worker serves it")).to_be_visible()


def test_a_killed_worker_is_seen_to_come_back(dashboard: Dashboard):
    page = dashboard.open("/")
    pid = dashboard.supervisor.slot(0, "other").pid
    assert pid is not None
    expect(row(page, "other/0")).to_contain_text("idle")
    os.kill(pid, signal.SIGKILL)
    expect(row(page, "other/0")).to_contain_text("killed by SIGKILL")
    expect(row(page, "other/0")).to_contain_text("idle")
    dashboard.supervisor.replaced(pid, pool="other")


def test_the_whole_fleet_is_paused_and_goes_on(dashboard: Dashboard):
    page = dashboard.open("/fleet")
    reload_marker(page)
    page.get_by_role("button", name="Pause queue other").click()
    expect(page.locator("#ask")).to_contain_text("tasks would wait")
    sure(page, "Pause")
    expect(page.locator("#toast")).to_have_text("Queue other is paused.")
    expect(row(page, "other")).to_contain_text("paused by local (web)")
    dashboard.supervisor.eventually(lambda _: dashboard.supervisor.pool("other").paused, what="a paused pool")
    handle = dashboard.enqueue(tasks.add, 1, 2, queue="other")
    follower = dashboard.open(f"/tasks/{handle.id}")
    expect(follower.locator("#page")).to_contain_text("Queue 'other' is paused by local (web)")
    page.get_by_role("button", name="Resume queue other").click()
    expect(row(page, "other")).to_contain_text("goes on")
    expect(follower.locator("#status")).to_have_text("completed")
    assert not was_reloaded(page)


def test_a_host_is_paused_and_goes_on(dashboard: Dashboard):
    page = dashboard.open("/fleet")
    page.get_by_role("button", name="Pause host first").click()
    sure(page, "Pause host")
    expect(page.locator("#orders")).to_contain_text("done")
    dashboard.supervisor.eventually(lambda status: status.paused, what="a paused host")
    expect(page.locator("#host-1")).to_contain_text("host paused by")
    page.get_by_role("button", name="Resume host first").click()
    dashboard.supervisor.eventually(lambda status: not status.paused, what="a host that goes on")
    expect(page.get_by_role("button", name="Pause host first")).to_be_visible()


def test_a_pool_is_scaled(dashboard: Dashboard):
    page = dashboard.open("/fleet")
    pool(page, "default").get_by_role("button", name="One worker more").click()
    pool(page, "default").get_by_role("button", name="Scale").click()
    expect(pool(page, "default")).to_contain_text("3 of 3 up")
    expect(pool(page, "default")).to_contain_text("3 by hand, 2 in the file")
    page.get_by_label("Workers of default").fill("2")
    page.get_by_label("Workers of default").press("Enter")
    expect(pool(page, "default")).to_contain_text("2 of 2 up")
    dashboard.supervisor.ready()


def test_a_pool_is_restarted(dashboard: Dashboard):
    before = dashboard.supervisor.pids("other")
    page = dashboard.open("/fleet")
    page.get_by_role("button", name="Restart pool other").click()
    expect(page.locator("#ask")).to_contain_text("1 worker;")
    sure(page, "Restart")
    dashboard.supervisor.replaced(*before, pool="other")


def test_what_the_supervisor_refuses_is_told(dashboard: Dashboard):
    page = dashboard.open("/fleet")
    said = {"host": "first", "command": "scale", "target": "keeper", "workers": "2"}
    assert page.request.post("/fleet/orders", form=said, headers={"Origin": dashboard.url}).ok
    expect(page.locator("#orders")).to_contain_text("refused")
    assert len(dashboard.supervisor.pool("keeper").slots) == 1


def test_very_many_workers_are_asked_about_first(dashboard: Dashboard):
    page = dashboard.open("/fleet")
    page.get_by_label("Workers of default").fill("900")
    page.get_by_label("Workers of default").press("Enter")
    expect(page.locator("#ask")).to_contain_text("898 more processes on that host")
    page.locator("#ask").get_by_role("button", name="Leave it").click()
    expect(page.locator("#ask")).to_be_hidden()
    assert len(dashboard.supervisor.pool().slots) == 2


def test_health_says_what_doctor_says_and_what_to_do(dashboard: Dashboard):
    page = dashboard.open("/health")
    expect(page.get_by_text("Looking at every store")).to_have_count(0)
    expect(page.locator("#well")).to_contain_text("PostgreSQL")
    page.get_by_role("button", name="Look again").click()
    expect(page.locator("#well")).to_contain_text("queue default")


@contextmanager
def store_away(dashboard: Dashboard) -> Iterator[None]:
    url = dashboard.site.app.settings.brokers["main"].url
    name = sa.make_url(url).database
    administer("postgresql", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        end_sessions("postgresql", url)
        yield
    finally:
        administer("postgresql", f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_a_store_that_is_away_is_told_of_and_the_pages_come_back(dashboard: Dashboard):
    handle = dashboard.enqueue(tasks.add, 1, 2)
    open_already = dashboard.open("/")
    expect(open_already.locator("#queues")).to_be_visible()
    reload_marker(open_already)
    with store_away(dashboard):
        expect(open_already.locator("#trouble")).to_contain_text("The store does not answer.")
        expect(open_already.locator("#queues")).to_be_visible()
        fresh = [dashboard.open(path) for path in ("/", "/tasks", f"/tasks/{handle.id}", "/fleet")]
        for page in fresh:
            expect(page.locator("#page")).to_contain_text("The store does not answer.")
    expect(open_already.locator("#trouble")).to_be_empty(timeout=20_000)
    expect(fresh[0].locator("#queues")).to_be_visible()
    expect(fresh[1].locator("#bulk")).to_be_visible()
    expect(fresh[2].locator("#status")).to_have_text("completed")
    expect(fresh[3].locator("#fleet-queues")).to_be_visible()
    assert not was_reloaded(open_already)
    dashboard.oddities.clear()  # the browser speaks of every 503
    eventually(dashboard.supervisor.is_settled, what="a settled supervisor")
