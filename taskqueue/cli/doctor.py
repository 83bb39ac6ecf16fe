"""`taskqueue doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import click
import msgspec

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_FAILED
from taskqueue.operations.doctor import Finding, examinations


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
    for finding in examinations(session.app):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        terminal.json([msgspec.structs.asdict(finding) for finding in findings])
    ill = sum(not finding.well for finding in findings)
    if ill and not as_json:
        terminal.line(f"{ill} of {len(findings)} findings need you", style="bold red")
    return EXIT_FAILED if ill else 0


def _print(finding: Finding) -> None:
    if finding.well:
        terminal.line(f"ok     {finding.subject}: {finding.text}")
    else:
        terminal.line(f"WRONG  {finding.subject}: {finding.text}", style="bold red")
        if finding.advice:
            terminal.line(f"       -> {finding.advice}")
