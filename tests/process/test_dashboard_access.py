"""Everybody can use the dashboard: with a keyboard, a screen reader, a phone; in the light and in the dark."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.support import tasks
from tests.support.dashboard import PHONE, Dashboard, complaints

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def of_all_kinds(shared_dashboard: Dashboard) -> dict[str, str]:
    """Pages with something of every kind on them."""
    enqueue = shared_dashboard.enqueue
    failed = enqueue(tasks.fails, owner="ann", label="a label")
    family = enqueue(tasks.parent, 2, str(shared_dashboard.site.ledger))
    enqueue(tasks.add, 1, 2, queue="nobody")
    assert failed.wait(20)
    assert family.wait(20)
    return {
        "overview": "/",
        "tasks": "/tasks",
        "nothing": "/tasks?owner=nobody+at+all",
        "failed": f"/tasks/{failed.id}",
        "family": f"/tasks/{family.id}",
        "fleet": "/fleet",
        "health": "/health",
        "missing": "/tasks/01a20c25-5637-75d8-a1b5-8b3f33378bf8",
    }


PAGES = ("overview", "tasks", "nothing", "failed", "family", "fleet", "health", "missing")


def complete(page: Page) -> Page:
    expect(page.get_by_text("Looking at every store")).to_have_count(0)
    expect(page.locator("h1").first).to_be_attached()
    return page


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious_in_light_and_dark(dashboard: Dashboard, of_all_kinds: dict[str, str], name: str):
    page = complete(dashboard.open(of_all_kinds[name], color_scheme="light"))
    assert complaints(page) == []
    page.emulate_media(color_scheme="dark")
    assert complaints(page) == []
    forget_the_missing(dashboard, name)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_a_phone(dashboard: Dashboard, of_all_kinds: dict[str, str], name: str):
    page = complete(dashboard.open(of_all_kinds[name], size=PHONE, has_touch=True, is_mobile=True))
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    forget_the_missing(dashboard, name)


def forget_the_missing(dashboard: Dashboard, name: str) -> None:
    """The browser speaks of every 404."""
    if name == "missing":
        dashboard.oddities.clear()


def test_a_keyboard_is_enough(dashboard: Dashboard):
    handle = dashboard.enqueue(tasks.fails, owner="keys")
    assert handle.wait(20)
    page = dashboard.open("/tasks?owner=keys&status=failed")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.locator(f"#t-{handle.id} input").focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.get_by_role("button", name="Retry").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Leave it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#confirm")).to_be_hidden()
    expect(page.get_by_role("button", name="Retry")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Leave it")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#page")).to_contain_text("enqueued once more")


def test_what_is_focused_and_unfolded_stays_so_while_the_page_lives(dashboard: Dashboard):
    page = dashboard.open("/fleet")
    button = page.get_by_role("button", name="Pause queue other")
    button.focus()
    page.get_by_label("Workers of other").fill("7")
    with page.expect_response(lambda answer: answer.url.endswith("/fleet")):
        pass
    with page.expect_response(lambda answer: answer.url.endswith("/fleet")):
        pass
    expect(page.get_by_label("Workers of other")).to_have_value("7")
    expect(page.get_by_label("Workers of other")).to_be_focused()


def test_the_theme_is_chosen_and_kept(dashboard: Dashboard):
    page = dashboard.open("/", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    toggle = page.get_by_role("button", name="Light, dark, or as the system")
    toggle.click()
    toggle.click()
    dark = page.evaluate(ground)
    assert dark != light
    page.goto("/tasks")
    assert page.evaluate(ground) == dark
