"""`taskqueue worker`: one worker in this process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from taskqueue.cli.command import Command
from taskqueue.cli.parameters import Duration
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_RECYCLE, BrokerUnavailable, ConfigurationError
from taskqueue.masking import mask_url
from taskqueue.settings.load import VARIABLE

if TYPE_CHECKING:
    from taskqueue.app import App

log = logging.getLogger(__name__)


@click.command(
    "worker",
    cls=Command,
    examples=(
        ("taskqueue worker", "serve all queues"),
        ("taskqueue worker mail reports", "these two, shares by weight"),
        ("taskqueue worker mail reports --strict", "the queue of the higher weight first, the other when it is empty"),
        ("taskqueue worker --drain", "leave when nothing is left to do"),
        ("taskqueue worker mail --once", "run one task, if there is one"),
        ("taskqueue worker --for 1h --limit 1000", "leave after an hour or 1,000 tasks"),
    ),
)
@click.argument("queues", metavar="[QUEUE]...", nargs=-1)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Leave after N tasks.")
@click.option("--for", "seconds", metavar="DURATION", type=Duration(), help="Leave after so long: 90, 30s, 10m, 2h.")
@click.option("--drain", is_flag=True, help="Leave when nothing is due.")
@click.option("--once", is_flag=True, help="Run one task at the most, then leave.")
@click.option("--strict", is_flag=True, help="The queue of the highest weight that has work comes first, always.")
@click.pass_obj
def command(
    session: Session, /, queues: Sequence[str], *, limit: int | None, seconds: float | None, **flags: bool
) -> int:
    """Run the tasks of these queues, or of all: one worker, without a supervisor.

    TERM, INT and QUIT end it after the current task, a second TERM or INT at once. USR2 pauses it, CONT resumes.
    It gives back what dead workers held, and purges, as the keeper would.
    """
    if sys.platform == "win32":
        raise ConfigurationError(
            "workers need Linux or macOS; on Windows applications can enqueue and wait, and tests can run tasks at "
            "once with memory://"
        )
    session.talks = True
    app = session.app
    _show_others_the_way(app)
    app.import_modules()
    from taskqueue.limits import worker_limits

    names = list(queues) or _queues_of_workers(app)
    limits = worker_limits(
        app.settings,
        names,
        tasks=1 if flags["once"] else limit,
        seconds=seconds,
        drain=flags["drain"] or flags["once"],
        grace=app.settings.supervisor.grace,
    )
    _open(app, names)
    worker = app.worker(names, limits, selector="strict" if flags["strict"] else "weighted")
    log.info("worker started", extra=_places(app, names))
    code = worker.run(ending=True)
    log.info("worker ended", extra={"tasks": worker.taken, "recycle": code == EXIT_RECYCLE or None})
    return code


def _show_others_the_way(app: App) -> None:
    """Tasks that call `taskqueue.connect()`, and programs that they start, find this very configuration."""
    if app.settings.file is not None:
        os.environ[VARIABLE] = str(app.settings.file)


def _open(app: App, names: Sequence[str]) -> None:
    """A store that can never work is told of before anything begins."""
    for name in names:
        queue = app.dispatcher.queue(name)
        if (database := app.database_of(queue)) is not None:
            with database.read():
                pass
        if not queue.broker.capabilities.recovers:
            with suppress(BrokerUnavailable):  # what is away now may be back soon: the worker weathers that
                queue.broker.initialize()


def _queues_of_workers(app: App) -> list[str]:
    """All queues that a worker can serve: tasks in memory run where they are enqueued."""
    return [name for name, queue in app.queues.items() if not queue.broker.capabilities.immediate] or list(app.queues)


def _places(app: App, names: Sequence[str]) -> dict[str, str]:
    """What the first line says: which queues, by which configuration, in which stores."""
    urls = {app.settings.brokers[app.settings.queues[name].broker].url: None for name in names}
    stores = ",".join(mask_url(url) for url in urls)
    return {"queues": ",".join(names), "config": str(app.settings.file), "store": stores}
