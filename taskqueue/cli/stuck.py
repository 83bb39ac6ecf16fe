"""`taskqueue stuck`: tasks that nobody works on, and how to bring them back."""

from __future__ import annotations

import click

from taskqueue.cli import terminal
from taskqueue.cli.colours import status_cell
from taskqueue.cli.command import Command, Group
from taskqueue.cli.session import Session
from taskqueue.cli.terminal import Cell
from taskqueue.operations import stuck
from taskqueue.operations.dead import Stuck

COLUMNS = ("Id", "Status", "Queue", "Worker", "Why")

command = Group(
    "stuck",
    help="Tasks that nobody works on any more, though they have not ended.",
    commands_at={
        "list": ("taskqueue.cli.stuck:list_", "Show them, with the reason."),
        "restart": ("taskqueue.cli.stuck:restart", "Bring them back now."),
    },
    examples=(
        ("taskqueue stuck list", "what is stuck, and why"),
        ("taskqueue stuck restart", "do now what a worker or keeper does within its time"),
    ),
)


@click.command("list", cls=Command, examples=(("taskqueue stuck list --json", "for programs"),))
@click.option("--limit", metavar="N", type=click.IntRange(1, 10_000), default=100, help="At most so many a reason.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(session: Session, *, limit: int, as_json: bool) -> None:
    """Show the tasks that nobody works on: ended leases, entries without a message, messages that were not pushed.

    And what lies in dead letter queues: messages of tasks, and those of somebody else.
    """
    found = list(stuck.find(session.app, limit=limit))
    if as_json:
        terminal.json([one._asdict() | {"status": None if one.status is None else one.status.label} for one in found])
    elif found or not terminal.at_terminal():
        terminal.table(COLUMNS, [_row(one) for one in found])
    else:
        terminal.note("nothing is stuck")


@click.command("restart", cls=Command, examples=(("taskqueue stuck restart", "all of them"),))
@click.pass_obj
def restart(session: Session) -> None:
    """Give them back to their queues now.

    A task whose worker is still alive is never touched: its lease says so. What is given back counts as a lost lease.
    Of what lies in dead letter queues, open tasks are sent anew, messages of ended ones are removed, others stay.
    """
    with terminal.progress("bringing back", None) as show:
        done = stuck.restart(session.app, progress=show)
    terminal.line(f"{done.back:,} brought back")
    if done.removed:
        terminal.line(f"{done.removed:,} dead letters of tasks that have ended removed")
    if done.kept:
        terminal.line(f"{done.kept:,} dead letters left: they belong to no task of these queues")


def _row(one: Stuck) -> list[Cell]:
    status = "" if one.status is None else status_cell(one.status)
    return [one.id, status, one.queue or "", one.worker or "", one.reason]
