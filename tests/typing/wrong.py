"""Mistakes that both type checkers must find: each line that says so, and no other."""

from __future__ import annotations

from shop import Export, Regenerate, Reindex, add, crawl, fetch, mail

import taskqueue
from taskqueue import CallbackTask, Report, TaskOptions, context, task

queue = taskqueue.connect()


def plain(n: int) -> int:
    return n


# What a call would refuse, an enqueue refuses.
add("1")  # error
add.bind("1")  # error
add.bind()  # error
add.bind(1, 2, 3)  # error
add.enqueue("1")  # error
add.enqueue(1, c=3)  # error
add.options(delay=60).enqueue("1")  # error
queue.enqueue(add, "1")  # error
queue.enqueue(add)  # error
queue.enqueue(add, 1, c=3)  # error
queue.enqueue(mail, "ann")  # error
queue.enqueue(mail, "ann", password=5)  # error
queue.enqueue(fetch, 5)  # error
queue.enqueue(crawl, "x", depth="3")  # error
queue.enqueue(Regenerate, 5)  # error
queue.enqueue(Regenerate, "uri", fierce=True)  # error
queue.enqueue(Export)  # error
queue.options(priority=0).enqueue(add, "1")  # error
CallbackTask(add, "1")  # error
CallbackTask(Regenerate, 5)  # error
context.create_child(add, "1")  # error

# What is no task is refused.
queue.enqueue(plain, 1)  # error
queue.enqueue(5)  # error
queue.enqueue_many([plain])  # error
context.create_children([plain])  # error

# Results are what the function says.
text: str = add.enqueue(1).result()  # error
order: int = queue.enqueue(Regenerate, "uri").result()  # error
page: str = queue.enqueue(fetch, "x").result()  # error

# Options have names and types.
queue.options(dealy=60)  # error
queue.options(delay="60")  # error
add.options(priority="high")  # error
TaskOptions(retrys=3)  # error
Reindex().set_shop(5)  # error
Report.success(5)  # error


@task(retrys=3)  # error
def misspelt() -> None: ...


@task(retries="3")  # error
def mistyped() -> None: ...
