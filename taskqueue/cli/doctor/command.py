"""The command: every examination there is, one after the other. What does not answer is told of once."""

from __future__ import annotations

from collections.abc import Iterator

import click
import msgspec

from taskqueue.app import App
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.doctor import queues, sqs, stores
from taskqueue.cli.doctor.finding import Finding, examine, well
from taskqueue.cli.session import Session
from taskqueue.database.engine import Database
from taskqueue.errors import EXIT_FAILED
from taskqueue.queue import Queue


@click.command(
    "doctor",
    cls=Command,
    examples=(
        ("taskqueue doctor", "look at everything; exit code 1 if something is wrong"),
        ("taskqueue doctor --json", "for programs"),
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(session: Session, *, as_json: bool) -> int:
    """Look at the stores, the clocks, the workers and the queues; say what is wrong and what to do about it.

    It changes nothing. A store that is away keeps it from no other. The exit code is 1 if something is wrong.
    """
    findings: list[Finding] = []
    for finding in _all(session.app):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        terminal.json([msgspec.structs.asdict(finding) for finding in findings])
    ill = sum(not finding.well for finding in findings)
    if ill and not as_json:
        terminal.line(f"{ill} of {len(findings)} findings need you", style="bold red")
    return EXIT_FAILED if ill else 0


def _all(app: App) -> Iterator[Finding]:
    yield well("configuration", str(app.settings.file))
    yield from examine("modules", lambda: queues.modules(app))
    opened: list[Queue] = []
    for name in app.settings.queues:
        yield from examine(f"queue {name}", lambda found=name: _open(app, found, opened))  # type: ignore[misc]  # bound now
    away: set[Database] = set()
    for database in stores.databases(app, opened):
        yield from stores.examine_database(app, database, away)
    if away.isdisjoint(queue.log_database for queue in opened):
        yield from examine("clock", lambda: stores.clock(app))
    for queue in opened:
        yield from _queue(app, queue, away)
    if len(opened) == len(app.settings.queues) and not away:
        yield from examine("stuck tasks", lambda: queues.stuck_tasks(app))


def _open(app: App, name: str, opened: list[Queue]) -> Iterator[Finding]:
    """Nothing to tell of, unless it cannot be opened."""
    opened.append(app.queue_at(name, app.settings.queues[name].broker))
    yield from ()


def _queue(app: App, queue: Queue, away: set[Database]) -> Iterator[Finding]:
    name = f"queue {queue.name}"
    broker = app.settings.brokers[app.settings.queues[queue.name].broker]
    if sqs.serves(broker):
        yield from examine(name, lambda: sqs.queue(app, queue.name))
    if away.isdisjoint({app.database_of(queue), queue.log_database}):
        yield from examine(name, lambda: queues.queue(app, queue))


def _print(finding: Finding) -> None:
    if finding.well:
        terminal.line(f"ok     {finding.subject}: {finding.text}")
    else:
        terminal.line(f"WRONG  {finding.subject}: {finding.text}", style="bold red")
        if finding.advice:
            terminal.line(f"       -> {finding.advice}")
