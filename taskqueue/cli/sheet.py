"""All about one task on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from taskqueue.cli import reports
from taskqueue.cli.colours import STYLES
from taskqueue.operations.facts import progress_text, report_of
from taskqueue.operations.sheet import Sheet
from taskqueue.operations.times import ago, between, local
from taskqueue.status import Status
from taskqueue.tasklog.entry import Attempt, Entry
from taskqueue.visible import visible, visible_lines

#: children that are named; the others are counted
MOST = 20


def draw(sheet: Sheet) -> RenderableType:
    """The page."""
    entry = sheet.entry
    parts: list[RenderableType] = [
        Text.assemble((visible(entry.name), "bold"), "  ", (entry.status.label, STYLES[entry.status])),
        _indented(_grid(_facts(sheet))),
    ]
    if sheet.parameters:
        parts += _section("parameters", _grid([(n, reports.value_text(v)) for n, v in sheet.parameters.items()]))
    if (report := report_of(entry.report)) is not None:
        parts += _section("report", reports.tree(report))
    if sheet.attempts:
        parts += _section("attempts that did not end well", _attempts(sheet.attempts))
    for attempt in sheet.attempts:
        if stacks := attempt.detail.partition("\n")[2]:
            parts += _section(f"where attempt {attempt.attempt} was", Text(visible_lines(stacks)))
        if attempt.log:
            parts += _section(f"what attempt {attempt.attempt} logged last", Text(visible_lines(attempt.log)))
    if sheet.children:
        parts += _section(_count(sheet.children), _children(sheet.children, entry.id))
    return Group(*parts)


def _facts(sheet: Sheet) -> Iterable[tuple[str, str]]:
    entry = sheet.entry
    yield "id", entry.id
    yield "queue", f"{entry.queue}, priority {entry.priority}"
    yield "label", entry.label or ""
    yield "owner", entry.owner or ""
    yield "category", entry.category or ""
    yield "group", entry.group_name or ""
    yield "key", entry.unique_key or ""
    yield "parent", f"{entry.parent_id}{_named(sheet.parent)}" if entry.parent_id else ""
    yield "repeats", entry.retry_of or ""
    yield "enqueued", f"{local(entry.created_at)}, {ago(entry.created_at)}"
    yield "not before", local(entry.due_at)
    yield "started", _started(entry)
    yield "ended", _ended(entry)
    yield "worker", entry.worker or ""
    yield "attempts", _tries(entry)
    yield "progress", "" if entry.status.ended else progress_text(entry)
    yield "was", entry.archived_from.label if entry.archived_from is not None else ""
    yield "cancel", "requested" if entry.cancel_requested and not entry.status.ended else ""


def _named(parent: Entry | None) -> str:
    return f" {parent.name}, {parent.status.label}" if parent is not None else " (purged)"


def _started(entry: Entry) -> str:
    if entry.started_at is None:
        return ""
    return f"{local(entry.started_at)}, {between(entry.created_at, entry.started_at)} after it was enqueued"


def _ended(entry: Entry) -> str:
    if entry.finished_at is None:
        return ""
    took = between(entry.started_at, entry.finished_at)
    return f"{local(entry.finished_at)}{f', took {took}' if took else ''}"


def _tries(entry: Entry) -> str:
    return f"{entry.attempts}, {entry.crashes} of them ended its worker" if entry.crashes else str(entry.attempts)


def _grid(facts: Iterable[tuple[str, str]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        if value:
            grid.add_row(Text(visible(name)), Text(visible_lines(value)))
    return grid


def _section(title: str, content: RenderableType) -> list[RenderableType]:
    return [Text(""), Text(title, style="bold"), _indented(content)]


def _indented(content: RenderableType) -> RenderableType:
    return Padding(content, (0, 0, 0, 2), expand=False)


def _attempts(attempts: Sequence[Attempt]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("#", "cause", "worker", "started", "took", "detail"):
        table.add_column(title, overflow="fold", no_wrap=title in ("#", "cause", "started"))
    for one in attempts:
        took = between(one.started_at, one.ended_at)
        row = (
            str(one.attempt),
            one.cause.value,
            one.worker or "",
            local(one.started_at),
            took,
            one.detail.partition("\n")[0],
        )
        table.add_row(*(Text(visible(cell)) for cell in row))
    return table


def _count(children: Sequence[Entry]) -> str:
    by_status = Counter(child.status for child in children)
    return "children: " + ", ".join(f"{by_status[status]:,} {status.label}" for status in Status if by_status[status])


def _children(children: Sequence[Entry], parent: str) -> RenderableType:
    """Those that a reader looks for first: what failed, what is still going on."""
    rank = {Status.FAILED: 0, Status.CANCELLED: 1, Status.COMPLETED: 3, Status.ARCHIVED: 4}
    shown = sorted(children, key=lambda child: rank.get(child.status, 2))[:MOST]
    table = Table.grid(padding=(0, 2))
    for child in shown:
        table.add_row(
            Text(child.id),
            Text(child.status.label, style=STYLES[child.status]),
            Text(visible(child.label or child.name)),
        )
    if len(children) > MOST:
        table.add_row(Text(f"... and {len(children) - MOST:,} more: taskqueue log list --parent {parent}"))
    return table
