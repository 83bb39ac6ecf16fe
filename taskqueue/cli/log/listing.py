"""`taskqueue log list`."""

from __future__ import annotations

from typing import Any

import click

from taskqueue.cli import terminal
from taskqueue.cli.colours import status_cell
from taskqueue.cli.command import Command
from taskqueue.cli.log.filters import filters, looked_for
from taskqueue.cli.session import Session
from taskqueue.cli.terminal import Cell
from taskqueue.clock import SystemClock
from taskqueue.operations.facts import entry_json, gist
from taskqueue.operations.times import between, brief, local, offset
from taskqueue.status import Status
from taskqueue.tasklog.entry import MAX_PAGE, SORTS, Entry, Page

COLUMNS = ("Id", "Status", "Task", "Queue", "Created", "Took", "Tries", "Label", "What")
#: a terminal of so many columns shows whole ids; a narrower one their ends, which every command takes too
WIDE = 140


def _page_size(_context: click.Context, _parameter: click.Parameter, value: int) -> int:
    if not 1 <= value <= MAX_PAGE:
        raise click.BadParameter(
            f"a page holds 1 to {MAX_PAGE:,} tasks, not {value:,}; ask for the next page by --after"
        )
    return value


@click.command(
    "list",
    cls=Command,
    examples=(
        ("taskqueue log list", "the newest 50"),
        ("taskqueue log list --failed --since 1h", "what went wrong in the last hour"),
        ("taskqueue log list --status running --status dequeued", "what workers hold"),
        ("taskqueue log list --name '*mail*' --owner ann", "texts; * stands for anything"),
        ("taskqueue log list --json --limit 1000", "for programs; `next` continues by --after"),
    ),
)
@filters
@click.option("--sort", type=click.Choice(list(SORTS)), default="created", help="By what; default: created.")
@click.option("--reverse", is_flag=True, help="Oldest first, or the other way round.")
@click.option("--limit", metavar="N", type=int, callback=_page_size, default=50, help="How many, 50 if not said.")
@click.option("--after", metavar="TEXT", help="Go on behind a page: what it said at its end.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    session: Session, /, *, sort: str, reverse: bool, limit: int, after: str | None, as_json: bool, **said: Any
) -> None:
    """List tasks, the newest first."""
    task_log = session.app.dispatcher.task_log
    # Times are read from the newest on, names from A.
    descending = (sort == "created") is not reverse
    page = task_log.search(*looked_for(task_log, said), sort=sort, descending=descending, limit=limit, after=after)
    if as_json:
        terminal.json({"entries": [entry_json(entry) for entry in page.entries], "next": page.next})
    else:
        _print(page)


def _print(page: Page) -> None:
    if not terminal.at_terminal():
        terminal.table(COLUMNS, (_row(entry, entry.id, local(entry.created_at)) for entry in page.entries))
    elif page.entries:
        titles = [*COLUMNS[:4], f"Created {offset()}", *COLUMNS[5:]]
        short = terminal.width() < WIDE
        rows = [_row(entry, entry.id[-12:] if short else entry.id, brief(entry.created_at)) for entry in page.entries]
        terminal.table(titles, rows, right=("Took", "Tries"), wide=("Task", "Label", "What"))
    else:
        terminal.note("no tasks")
    if page.next is not None:
        terminal.note(f"more: --after {page.next}")


def _row(entry: Entry, name: str, created: str) -> list[Cell]:
    return [
        name,
        status_cell(entry.status),
        entry.name,
        entry.queue,
        created,
        _took(entry),
        str(entry.attempts),
        entry.label or "",
        gist(entry),
    ]


def _took(entry: Entry) -> str:
    """How long it took, or has taken so far."""
    running = entry.status is Status.RUNNING
    return between(entry.started_at, SystemClock().micros() if running else entry.finished_at)
