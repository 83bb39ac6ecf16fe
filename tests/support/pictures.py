"""Takes the README's pictures of the dashboard anew: a small fleet at work on two hosts, and a Chromium that looks.

    python -m tests.support.pictures [FOLDER]

It needs what the tests of the dashboard need, takes half a minute, and writes WebP into deploy/pictures.
"""

from __future__ import annotations

import base64
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from playwright.sync_api import Page

from taskqueue.status import Status
from taskqueue.tasklog.entry import Filter, Op, Search
from tests.support import shop
from tests.support.dashboard import PHONE, Dashboard, running_dashboard
from tests.support.eventually import eventually
from tests.support.project import REPOSITORY
from tests.support.tasks import pause

FOLDER = REPOSITORY / "deploy/pictures"
QUEUES = (
    "[queues.default]\nworkers = 1\n[queues.mail]\nworkers = 3\n[queues.images]\nworkers = 2\n"
    "[queues.reports]\nworkers = 2\n[queues.exports]\nworkers = 0"
)
#: width and height of a picture, and how well it is kept
SIZE, QUALITY = (1100, 780), 70
#: seconds of work that the past is made of
PAST = 900


def take(folder: Path) -> None:
    """All of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        parts = {"queues": QUEUES, "modules": '"tests.support.shop"', "host": "berlin-1"}
        with running_dashboard(Path(place), **parts) as dashboard:
            ids = work(dashboard)
            shoot(dashboard, folder, ids)
            dashboard.site.queue.task_log.cancel(ids["report"])
            dashboard.site.queue.task_log.cancel(Search(filters=(Filter("status", Op.EQ, Status.ENQUEUED),)))


def work(dashboard: Dashboard) -> dict[str, str]:
    """A past, and a present in which something of everything happens; ids of what is worth a look."""
    people = ("ann", "bo", "cy", "dee")
    done = []
    for n in range(1500):
        if n % 3:
            owner = people[3 if n % 70 == 1 else n % 3]
            done.append(
                enqueue(dashboard, shop.welcome, f"{owner}@example.org", owner=owner, label=f"order {5000 + n}")
            )
        else:
            done.append(enqueue(dashboard, shop.thumbnail, f"beach/{n}.jpg", owner="cy"))
    album = enqueue(dashboard, shop.album, "summer", 4, owner="cy", label="summer")
    orders = enqueue(dashboard, shop.import_orders, "orders-2026-11.csv", owner="bo", label="nightly")
    report = enqueue(dashboard, shop.monthly, "north", "2026-11", owner="ann", label="november")
    for handle in (*done, album, orders):
        assert handle.wait(60)
    eventually(lambda: report.status() is Status.RUNNING and report_goes_on(dashboard, report.id), within=30)
    tell_the_past(dashboard)
    for n in range(7):
        dashboard.enqueue(shop.welcome, f"bo+{n}@example.org", queue="exports", owner="bo")
    return {"report": report.id, "album": album.id, "orders": orders.id}


def enqueue(dashboard: Dashboard, task: Any, *arguments: Any, owner: str, label: str | None = None, **more: Any) -> Any:
    """A task in the queue that it names itself; its handle."""
    return dashboard.site.queue.options(owner=owner, label=label).enqueue(task, *arguments, **more)


def report_goes_on(dashboard: Dashboard, task_id: str) -> bool:
    """Whether it runs for the last time."""
    return bool(dashboard.site.queue.task_log.get(task_id).progress)


def tell_the_past(dashboard: Dashboard) -> None:
    """Spread what was done in seconds over the last quarter of an hour, in waves."""
    database = dashboard.site.app.registers[0]
    entry = database.tables.entry
    now = dashboard.site.app.clock.micros()
    with database.begin() as transaction:
        ended = sa.select(entry.c.id).where(entry.c.finished_at.is_not(None)).order_by(entry.c.id.desc())
        ids = list(transaction.execute(ended).scalars())
        for place, task_id in enumerate(ids):
            share = place / len(ids)
            at = now - int((20 + PAST * (share + 0.016 * math.sin(share * 40))) * 1e6)
            times = {
                "created_at": at,
                "started_at": at + 900_000,
                "finished_at": at + 1_300_000 + place * 997 % 900_000,
            }
            transaction.execute(sa.update(entry).where(entry.c.id == task_id).values(times))


def shoot(dashboard: Dashboard, folder: Path, ids: dict[str, str]) -> None:
    """Each page once; some in the dark, one on a phone."""
    for n in range(150):
        enqueue(dashboard, shop.welcome, f"ann+{n}@example.org", owner="ann", label=f"order {7000 + n}", seconds=0.4)
        if n % 2:
            enqueue(dashboard, shop.thumbnail, f"sea/{n}.jpg", owner="bo", seconds=0.9)
    pictures: list[tuple[str, str, dict[str, Any]]] = [
        ("overview", "/", {"color_scheme": "light"}),
        ("overview-dark", "/", {"color_scheme": "dark"}),
        ("tasks", "/tasks?status=failed&status=running&status=completed", {}),
        ("task", f"/tasks/{ids['report']}", {"color_scheme": "light"}),
        ("report", f"/tasks/{ids['orders']}", {"color_scheme": "dark"}),
        ("fleet", "/fleet", {"color_scheme": "light"}),
        ("health", "/health", {"color_scheme": "light"}),
        ("phone", "/", {"color_scheme": "light", "size": PHONE}),
    ]
    for name, path, how in pictures:
        page = dashboard.open(path, **{"size": SIZE} | how)
        pause(2.5)
        (folder / f"{name}.webp").write_bytes(picture_of(page))
        page.close()


def picture_of(page: Page) -> bytes:
    """What is seen of it, as WebP, which Chromium makes and Playwright does not ask for."""
    session = page.context.new_cdp_session(page)
    answer = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    return base64.b64decode(answer["data"])


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
