"""A shop's tasks, to be looked at: `make pictures`."""

from __future__ import annotations

import logging
import os
import signal

from taskqueue import Report, context, task
from tests.support.tasks import pause

log = logging.getLogger(__name__)


@task(name="shop.mail:welcome", queue="mail", retries=1, backoff=0.1)
def welcome(to: str, *, seconds: float = 0.0) -> str:
    pause(seconds)
    if to.startswith("dee"):
        raise ConnectionRefusedError(f"mail.example.org refused {to}: mailbox full")
    return f"welcome mail went to {to}"


@task(queue="images", name="shop.images:thumbnail")
def thumbnail(photo: str, width: int = 320, *, seconds: float = 0.0) -> Report:
    pause(seconds)
    notes = [Report.info("location removed"), Report.warning("no colour profile: sRGB assumed")]
    return Report.success(f"{photo}: {width} px").with_children(*notes)


@task(queue="images", name="shop.images:album")
def album(name: str, photos: int) -> Report:
    context.create_children(thumbnail.bind(f"{name}/{n}.jpg") for n in range(photos))
    return Report.success(f"{photos} photos found")


@task(queue="reports", name="shop.reports:monthly", retries=3, backoff=0.2)
def monthly(shop: str, month: str) -> Report:
    log.info("reading the orders of %s", month)
    if context.attempt == 1:
        raise TimeoutError("orders.example.org did not answer within 5 s")
    if context.attempt == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    for page in range(62):
        context.progress(page + 1, 100, f"page {page + 1}")
    while not context.cancel_requested:
        pause(0.05)
    return Report.warning("stopped half way")


@task(queue="reports", name="shop.reports:import_orders")
def import_orders(file: str) -> Report:
    log.info("reading %s", file)
    good = Report.success("4,710 orders stored", {"first": 81022, "last": 85731})
    bad = Report.error("line 4711: '12,5O' is no price", {"line": 4711, "column": "price"})
    return Report.warning(f"{file}: one line was left out").with_children(good, bad)
