"""Lives of tasks that between them make every call to a store that a task's life can make, and who enqueues them.

`main` is the application's program. Run again with the same ids, after it died, it enqueues what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import sqlalchemy as sa

from taskqueue import Retry, context, task
from taskqueue.app import App
from taskqueue.settings import load
from tests.support.ledger import signed, trace
from tests.support.tasks import pause, traced

FIFO = "line.fifo"


@task(retries=1)
def eventful(ledger: str) -> dict[str, int]:
    """Has a child, tells of its progress, and asks once to be run again."""
    trace(ledger, "start")
    context.create_child(traced, ledger)
    context.progress(1, 2, "half way")
    pause(0.15)
    if context.attempt == 1:
        trace(ledger, "again")
        raise Retry("once more", delay=0)
    trace(ledger, "end")
    return signed()


@task
def slow(ledger: str) -> dict[str, int]:
    """Long enough for what was leased with it to go back, and for its lease to be renewed."""
    trace(ledger, "start")
    pause(1.3)
    trace(ledger, "end")
    return signed()


class Life(msgspec.Struct, frozen=True):
    """How to enqueue it: `enqueue(app, ledger, ids)` of so many `tasks`."""

    enqueue: Callable[[App, str, Sequence[str]], None]
    tasks: int = 1
    #: the ids that it is given are keys, and the store knows the tasks' own
    keyed: bool = False
    #: it needs a queue that has groups
    grouped: bool = False


def _eventful(app: App, ledger: str, ids: Sequence[str]) -> None:
    app.dispatcher.options(id=ids[0]).enqueue(eventful, ledger)


def _crowd(app: App, ledger: str, ids: Sequence[str]) -> None:
    """Short ones, so that a worker takes many at once, then a long one with some behind it."""
    batch = [*(traced.bind(ledger) for _ in ids[:-5]), slow.bind(ledger), *(traced.bind(ledger) for _ in ids[-4:])]
    for made, one in zip(batch, ids, strict=True):
        made.id = one
    app.dispatcher.enqueue_many(batch)


def _joined(app: App, ledger: str, ids: Sequence[str]) -> None:
    """In the application's own transaction."""
    engine = sa.create_engine(app.settings.task_log.url)
    with engine.begin() as connection:
        app.dispatcher.options(id=ids[0], connection=connection).enqueue(traced, ledger)
    engine.dispose()


def _keyed(app: App, ledger: str, ids: Sequence[str]) -> None:
    """Twice by one key."""
    for _ in range(2):
        app.dispatcher.options(key=ids[0]).enqueue(traced, ledger)


def _cancelled(app: App, ledger: str, ids: Sequence[str]) -> None:
    """Cancelled before it is due, or while it runs."""
    for one, delay in zip(ids, (0.3, 0), strict=True):
        app.dispatcher.options(id=one, delay=delay).enqueue(traced, ledger, 0.2)
    app.dispatcher.task_log.cancel(list(ids))


def _line(app: App, ledger: str, ids: Sequence[str]) -> None:
    """Two of a group, one after the other."""
    for one in ids:
        app.dispatcher.options(id=one, queue=FIFO, group="ann").enqueue(traced, ledger, 0.15)


def _overtaken(app: App, ledger: str, ids: Sequence[str]) -> None:
    """The message of the group's first is sent later than that of its second."""
    first, second = ids
    engine = sa.create_engine(app.settings.task_log.url)
    with engine.begin() as connection:
        options = app.dispatcher.options(id=first, queue=FIFO, group="bob", connection=connection)
        options.enqueue(traced, ledger)
    engine.dispose()
    app.dispatcher.options(id=second, queue=FIFO, group="bob").enqueue(traced, ledger)


LIVES = {
    "eventful": Life(_eventful),
    "crowd": Life(_crowd, tasks=45),
    "joined": Life(_joined),
    "keyed": Life(_keyed, keyed=True),
    "cancelled": Life(_cancelled, tasks=2),
    "line": Life(_line, tasks=2, grouped=True),
    "overtaken": Life(_overtaken, tasks=2, grouped=True),
}


def main(config: str, ledger: str, life: str, *ids: str) -> None:
    """Enqueue one life, as an application does."""
    app = App(load(config))
    app.import_modules()
    app.dispatcher.initialize()
    LIVES[life].enqueue(app, ledger, ids)
    app.dispatcher.close()
