"""`taskqueue run`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from taskqueue.cli import terminal
from taskqueue.cli.arguments import parameters, task_arguments
from taskqueue.cli.command import Command
from taskqueue.cli.failures import EXIT_INTERRUPTED
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_FAILED
from taskqueue.operations.tasks import make_task
from taskqueue.report import Report

if TYPE_CHECKING:
    from taskqueue.app import App
    from taskqueue.dispatcher import QueueDispatcher
    from taskqueue.task import AbstractTask


@click.command(
    "run",
    cls=Command,
    examples=(
        ("taskqueue run shop.tasks:mail to=ann", "text, converted as the task's annotations say"),
        ('taskqueue run shop.tasks:mail \'to:=["ann", "bob"]\'', ":= is JSON"),
        ("taskqueue run shop.tasks:mail --json - < arguments.json", "all arguments as JSON"),
    ),
)
@task_arguments
@click.option("--json-report", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def command(session: Session, name: str, pairs: Sequence[str], text: str | None, *, json_report: bool) -> int:
    """Run the task NAME here and now, without a queue, and print its report.

    What it enqueues itself runs after it, here too; nothing is stored. The exit code is 1 if it failed.
    """
    app = session.app
    report = _run(app, make_task(app, name, parameters(pairs, text)))
    if json_report:
        terminal.json(report)
    else:
        from taskqueue.cli import reports

        terminal.draw(reports.tree(report))
    if isinstance(report.data, dict) and report.data.get("type") == "KeyboardInterrupt":
        return EXIT_INTERRUPTED
    return EXIT_FAILED if report.failed else 0


def _run(app: App, task: AbstractTask) -> Report:
    from taskqueue.task.function import set_default_dispatcher

    # What goes wrong stands in the report, once.
    logging.getLogger("taskqueue.task").setLevel(logging.CRITICAL)
    dispatcher = _in_memory(app)
    set_default_dispatcher(lambda: dispatcher)
    report = dispatcher.enqueue(task).report()
    return report if report is not None else Report.error("The task has not ended: it waits for its children.")


def _in_memory(app: App) -> QueueDispatcher:
    """The same queues, in the memory of this process."""
    from taskqueue.brokers.memory import InMemoryQueueBroker
    from taskqueue.dispatcher import QueueDispatcher
    from taskqueue.queue import Queue
    from taskqueue.tasklog.memory import InMemoryTaskLogBroker
    from taskqueue.tasklog.reading import TaskLog
    from taskqueue.worker.inline import Inline

    task_log = InMemoryTaskLogBroker()
    dispatcher = QueueDispatcher(
        [Queue(InMemoryQueueBroker(name), task_log, limits=queue.limits) for name, queue in app.queues.items()],
        TaskLog(task_log),
        default_queue=app.settings.app.default_queue,
        routes=app.settings.app.routes,
        run_now=Inline(app.registry, app.clock, spawn=lambda *told: dispatcher.spawn(*told)),  # noqa: PLW0108  # it does not exist yet
    )
    return dispatcher
