"""The pages Tasks and Task, in a real browser."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.support import tasks
from tests.support.dashboard import Dashboard, reload_marker, was_reloaded

pytestmark = pytest.mark.process


def shown(page: Page) -> list[str]:
    """The ids of the list."""
    return [row.removeprefix("t-") for row in page.locator("#bulk tbody tr").evaluate_all("all => all.map(r => r.id)")]


def found(page: Page) -> list[str]:
    return page.locator("#bulk tbody th").all_inner_texts()


def test_a_task_is_followed_through_its_states_without_reloading(dashboard: Dashboard, tmp_path: Path):
    file = tmp_path / "go"
    handle = dashboard.enqueue(tasks.progressing, str(dashboard.site.ledger), str(file), delay=1.5)
    page = dashboard.open(f"/tasks/{handle.id}")
    reload_marker(page)
    expect(page.locator("#status")).to_have_text("enqueued")
    expect(page.locator("#page")).to_contain_text("It waits until")
    expect(page.locator("#status")).to_have_text("running")
    expect(page.locator("#page")).to_contain_text("3 of 7 (43%), third of seven")
    expect(page.get_by_role("progressbar")).to_be_visible()
    file.touch()
    expect(page.locator("#status")).to_have_text("completed")
    expect(page.get_by_role("progressbar")).to_have_count(0)
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    assert not was_reloaded(page)


def test_tasks_are_found_by_what_is_known_of_them(dashboard: Dashboard):
    mark = uuid4().hex[:8]
    good = dashboard.enqueue(tasks.add, 1, 2, owner=f"ann {mark}", label=f"sum {mark}")
    bad = dashboard.enqueue(tasks.fails, f"no luck {mark}", owner=f"bo {mark}", label=f"fall {mark}")
    assert good.wait(20)
    assert bad.wait(20)
    page = dashboard.open("/tasks")
    page.get_by_label("Owner").fill(f"ann {mark}")
    expect(page.locator("#bulk tbody tr")).to_have_count(1)
    assert found(page)[0].startswith("tests.support.tasks:add")
    assert f"owner=ann+{mark}" in page.url
    page.get_by_role("link", name="Clear").click()
    page.get_by_label("Label").fill(f"*{mark}")
    expect(page.locator("#bulk tbody tr")).to_have_count(2)
    page.get_by_role("checkbox", name="failed").check(force=True)
    expect(page.locator("#bulk tbody tr")).to_have_count(1)
    assert found(page)[0].startswith("tests.support.tasks:fails")
    page.get_by_role("link", name="Clear").click()
    page.get_by_label("Text in report").fill(f"luck {mark}")
    expect(page.locator("#bulk tbody tr")).to_have_count(1)
    expect(page.get_by_text("within the last 24 hours")).to_be_visible()
    page.get_by_label("Id").fill(good.id)
    page.get_by_label("Id").press("Enter")
    expect(page.locator("#status")).to_have_text("completed")


def test_a_search_that_makes_no_sense_is_refused_in_place(dashboard: Dashboard):
    page = dashboard.open("/tasks")
    page.get_by_label("Made since").fill("yesterday")
    expect(page.get_by_text("'yesterday' is no time; write e.g. 2h")).to_be_visible()
    page.get_by_label("Made since").fill("")
    page.locator("select[name=queue]").select_option("other")
    page.get_by_label("Owner").fill("nobody at all")
    expect(page.get_by_text("No task is like that")).to_be_visible()


def test_pages_follow_each_other_in_the_order_that_was_asked_for(dashboard: Dashboard):
    mark = uuid4().hex[:8]
    ids = sorted(dashboard.enqueue(tasks.add, n, n, queue="nobody", label=f"{mark} {n}").id for n in range(60))
    page = dashboard.open(f"/tasks?label={mark}*")
    expect(page.locator("#bulk tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Created").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Created")
    assert shown(page) == ids[:50]
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("#bulk tbody tr")).to_have_count(10)
    assert shown(page) == ids[50:]
    page.go_back()
    expect(page.locator("#bulk tbody tr")).to_have_count(50)


def test_many_are_retried_and_seen_to_be(dashboard: Dashboard):
    mark = uuid4().hex[:8]
    handles = [dashboard.enqueue(tasks.fails, owner=mark) for _ in range(3)]
    assert all(handle.wait(20) for handle in handles)
    page = dashboard.open(f"/tasks?owner={mark}&status=failed")
    reload_marker(page)
    expect(page.get_by_role("button", name="Retry")).to_be_disabled()
    page.get_by_label("all that this search finds").check()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("heading", name="Retry 3 tasks?")).to_be_visible()
    page.get_by_role("button", name="Retry 3 tasks").click()
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "100.0")
    expect(page.locator("#page")).to_contain_text("enqueued once more")
    page.get_by_role("link", name="Back to the tasks").click()
    expect(page.locator("#bulk tbody tr")).to_have_count(6)


def test_what_is_ticked_is_put_away_after_asking(dashboard: Dashboard):
    mark = uuid4().hex[:8]
    handles = [dashboard.enqueue(tasks.add, n, n, owner=mark) for n in range(3)]
    assert all(handle.wait(20) for handle in handles)
    page = dashboard.open(f"/tasks?owner={mark}")
    page.locator(f"#t-{handles[0].id} input").check()
    page.locator(f"#t-{handles[2].id} input").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("button", name="Archive").click()
    page.get_by_role("button", name="Leave it").click()
    assert handles[0].status().label == "completed"
    page.get_by_role("button", name="Archive").click()
    page.get_by_role("button", name="Archive 2 tasks").click()
    page.get_by_role("link", name="Back to the tasks").click()
    assert [handle.status().label for handle in handles] == ["archived", "completed", "archived"]


def test_one_is_cancelled_and_put_away(dashboard: Dashboard):
    handle = dashboard.enqueue(tasks.until_cancelled, str(dashboard.site.ledger))
    page = dashboard.open(f"/tasks/{handle.id}")
    reload_marker(page)
    expect(page.locator("#status")).to_have_text("running")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Cancel this task?")).to_be_visible()
    page.locator("#ask").get_by_role("button", name="Cancel").click()
    expect(page.locator("#toast")).to_have_text("It was asked to stop.")
    expect(page.locator("#status")).to_have_text("cancelled")
    page.get_by_role("button", name="Archive").click()
    page.locator("#ask").get_by_role("button", name="Archive").click()
    expect(page.locator("#status")).to_have_text("archived")
    assert not was_reloaded(page)


def test_a_task_that_was_retried_leads_to_its_new_run(dashboard: Dashboard):
    handle = dashboard.enqueue(tasks.add, 1, 2)
    assert handle.wait(20)
    page = dashboard.open(f"/tasks/{handle.id}")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("link", name=handle.id)).to_be_visible()
    assert handle.id not in page.url


def test_a_family_is_shown_as_a_tree(dashboard: Dashboard):
    handle = dashboard.enqueue(tasks.parent, 3, str(dashboard.site.ledger))
    page = dashboard.open(f"/tasks/{handle.id}")
    expect(page.locator("#status")).to_have_text("completed")
    expect(page.locator("#family li li")).to_have_count(3)
    page.locator("#family li li a").first.click()
    expect(page.locator("#family [aria-current]")).to_be_visible()
    expect(page.locator("#family a", has_text="parent")).to_be_visible()


def test_a_report_and_what_hung_are_there_to_read(dashboard: Dashboard):
    failed = dashboard.enqueue(tasks.fails, "no luck at all")
    dead = dashboard.enqueue(tasks.dies, str(dashboard.site.ledger), 1)
    page = dashboard.open(f"/tasks/{failed.id}")
    expect(page.locator("#report")).to_contain_text("ValueError: no luck at all")
    expect(page.locator("#report pre")).to_contain_text("Traceback")
    expect(page.locator("#attempts")).to_contain_text("attempt 2: retry")
    page.goto(f"/tasks/{dead.id}")
    expect(page.locator("#attempts")).to_contain_text("killed by SIGKILL")
    expect(page.locator("#status")).to_have_text("completed")


def test_what_is_not_there_is_said_to_be_so(dashboard: Dashboard):
    page = dashboard.open("/tasks")
    answer = page.goto("/tasks/01a20c25-5637-75d8-a1b5-8b3f33378bf8")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_text("it may have been purged")).to_be_visible()
    dashboard.oddities.clear()  # the browser speaks of every 404
