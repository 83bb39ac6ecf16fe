"""The command: every examination there is, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import click
import msgspec

from taskqueue.app import App
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.doctor import queues, stores
from taskqueue.cli.doctor.finding import Finding, examine, well
from taskqueue.cli.session import Session
from taskqueue.cli.stores import databases
from taskqueue.errors import EXIT_FAILED


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
    """Look at the stores, the clock, the workers and the queues; say what is wrong and what to do about it.

    It changes nothing. The exit code is 1 if something is wrong.
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
    for database in databases(app):
        yield from examine(database.name, lambda found=database: stores.database(app, found))  # type: ignore[misc]  # bound now
    yield from examine("clock", lambda: stores.clock(app))
    for queue in app.queues.values():
        yield from examine(f"queue {queue.name}", lambda found=queue: queues.queue(app, found))  # type: ignore[misc]  # bound now
    yield from examine("stuck tasks", lambda: queues.stuck_tasks(app))


def _print(finding: Finding) -> None:
    if finding.well:
        terminal.line(f"ok     {finding.subject}: {finding.text}")
    else:
        terminal.line(f"WRONG  {finding.subject}: {finding.text}", style="bold red")
        if finding.advice:
            terminal.line(f"       -> {finding.advice}")
