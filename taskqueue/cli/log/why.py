"""`taskqueue log why`."""

from __future__ import annotations

from collections import Counter

import click

from taskqueue.app import App
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.facts import status_cell
from taskqueue.cli.find import find
from taskqueue.cli.session import Session
from taskqueue.cli.stores import pause_of, workers_of
from taskqueue.cli.why import Facts, why
from taskqueue.errors import ConfigurationError
from taskqueue.tasklog.entry import Entry


@click.command(
    "why",
    cls=Command,
    examples=(("taskqueue log why 8f3c2a", "by its id, or any part of it that is unique"),),
)
@click.argument("given", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(session: Session, *, given: str, as_json: bool) -> None:
    """Say why a task does not run, or why it ended as it did, and what to do."""
    app = session.app
    entry = app.dispatcher.task_log.get(find(app.dispatcher.task_log, given))
    sentences = why(_facts(app, entry))
    if as_json:
        terminal.json({"id": entry.id, "status": entry.status.label, "why": sentences})
        return
    status = status_cell(entry.status)
    terminal.line(f"{entry.name} {entry.id}: {status.text}", style=status.style)
    for sentence in sentences:
        terminal.line(sentence)


def _facts(app: App, entry: Entry) -> Facts:
    queue = app.queues.get(entry.queue)
    children = app.dispatcher.task_log.children(entry.id) if entry.has_children else []
    facts = Facts(
        entry=entry,
        now=app.clock.micros(),
        queue_known=queue is not None,
        name_known=_knows(app, entry.name),
        children=Counter(child.status for child in children),
    )
    if queue is None or entry.status.ended:
        return facts
    workers = workers_of(app, queue)
    return Facts(
        entry=entry,
        now=facts.now,
        name_known=facts.name_known,
        children=facts.children,
        pause=pause_of(app, queue),
        workers=None if workers is None else tuple(worker.slot for worker in workers),
        waiting=queue.broker.depth().waiting,
        turn=queue.task_log.turns([entry.id]).get(entry.id),
    )


def _knows(app: App, name: str) -> bool | None:
    try:
        app.import_modules()
    except ConfigurationError:
        return None
    return name in app.registry
