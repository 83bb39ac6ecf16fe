"""An application as its authors would write it. Both type checkers must find nothing wrong with it."""

from __future__ import annotations

import dataclasses
import enum
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import taskqueue
from taskqueue import (
    AbstractTask,
    CallbackTask,
    Context,
    Handle,
    Kind,
    Report,
    Retry,
    Status,
    TaskCancelled,
    TaskOptions,
    TaskTimeout,
    around_task,
    context,
    on_failure,
    on_worker_start,
    task,
)

log = logging.getLogger(__name__)


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    id: int
    due: datetime | None = None


class Reindex(AbstractTask):
    """The first way: a class."""

    PARAM_SHOP = "shop"
    options = TaskOptions(retries=2)
    secret = ("token",)

    def set_shop(self, shop: str) -> None:
        self.set_parameter(self.PARAM_SHOP, shop)

    def __call__(self) -> Report:
        if not self.get_parameter(self.PARAM_SHOP):
            return Report.failure("Missing parameters")
        return Report.success(
            f"Reindexed {self.get_parameter(self.PARAM_SHOP)}", data={"shop": self.parameters["shop"]}
        )


@task
def add(a: int, b: int = 2) -> int:
    """The second way: a function."""
    return a + b


@task(retries=3, timeout=60, backoff=0.5, retry_on=(OSError, TimeoutError), secret=("password",), label="mail")
def mail(to: str, *, password: str, color: Color = Color.RED) -> None:
    if context.attempt > 2:
        raise Retry("not yet", delay=30)


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@task(queue="slow", priority=0)
async def crawl(url: str, *, depth: int = 1) -> dict[str, int]:
    return {url: depth}


@task
class Regenerate:
    def __call__(self, uri: str, *, force: bool = False) -> Order:
        return Order(len(uri))


@task(category="export")
class Export:
    async def __call__(self, name: str) -> list[str]:
        return [name]


@task
def parent(files: list[str]) -> Report:
    children = [context.create_child(add, len(file)) for file in files]
    assert_type(children, list[Handle[int]])
    assert_type(context.create_child(add.bind(1), key="one"), Handle[int])
    assert_type(context.create_child(Regenerate, "uri"), Handle[Order])
    assert_type(context.create_children(add.bind(n) for n in range(3)), list[Handle[Any]])
    context.progress(1, len(files), "so far")
    if context.cancel_requested or context.stopping:
        raise TaskCancelled
    try:
        return Report.info().with_children(Report.warning("careful"))
    except TaskTimeout:
        return Report(Kind.ERROR, "too slow")


@on_worker_start
def connect_to_the_shop() -> None: ...


@around_task
@contextmanager
def traced(run: Context) -> Generator[None, None, None]:
    log.info(run.name)
    yield


@on_failure
def tell(run: Context, report: Report, error: BaseException | None) -> None:
    log.error("%s: %s", run.id, report.message, exc_info=error)


def calls() -> None:
    assert_type(add(1), int)
    assert_type(Regenerate()("uri"), Order)
    assert_type(add.bind(1, b=3), CallbackTask[int])
    assert_type(fetch.bind("x"), CallbackTask[bytes])
    assert_type(CallbackTask(Regenerate, "uri", force=True), CallbackTask[Order])
    assert_type(CallbackTask(add, 1), CallbackTask[int])
    assert_type(add.name, str)


async def awaits() -> None:
    assert_type(await fetch("x"), bytes)
    queue = taskqueue.connect()
    assert_type(await queue.enqueue_async(add, 1), Handle[int])
    assert_type(await queue.enqueue_async(crawl, "x", depth=3), Handle[dict[str, int]])


def enqueues() -> None:
    queue = taskqueue.connect("config/taskqueue.toml")
    reindex = Reindex()
    reindex.set_shop("ann's")
    queue.enqueue(reindex)
    handle = queue.enqueue(add, 1, b=2)
    assert_type(handle, Handle[int])
    assert_type(handle.result(), int)
    assert_type(handle.status(), Status)
    assert_type(queue.enqueue(mail, "ann", password="pw"), Handle[None])
    assert_type(queue.enqueue(fetch, "x"), Handle[bytes])
    assert_type(queue.enqueue(Regenerate, "uri", force=True), Handle[Order])
    assert_type(queue.enqueue(Export, "name"), Handle[list[str]])
    assert_type(queue.enqueue(add.bind(1)), Handle[int])
    assert_type(queue.options(delay=60, priority=0, owner="ann", label="nightly").enqueue(add, 1), Handle[int])
    queue.options(eta=datetime.now(UTC) + timedelta(hours=1)).enqueue(mail, "ann", password="pw")
    queue.enqueue_many(add.bind(n) for n in range(3))
    queue.enqueue_by_name("elsewhere:mail", to="ann")
    assert_type(add.enqueue(1), Handle[int])
    assert_type(crawl.enqueue("x", depth=2), Handle[dict[str, int]])
    assert_type(add.options(delay=60, queue="slow").enqueue(1, b=2), Handle[int])
    if queue.create_task(Regenerate, ["uri"]).is_enqueued:
        log.info("published")
