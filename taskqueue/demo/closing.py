"""The demo's last page: what the task log says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from taskqueue.demo.run import Result
from taskqueue.demo.summary import Summary
from taskqueue.demo.words import count, shortened, sized
from taskqueue.visible import visible

#: rows of a table, and characters of a path
MOST, PATH = 10, 48


def show(console: Console, result: Result) -> None:
    """Everything: figures, what ran again and why, who did what, and whether it is true."""
    summary = result.summary
    parts = [_figures(summary)]
    if summary.again:
        parts.append(_again(result))
    if summary.unreadable:
        parts.append(_table(("could not be read", "why"), summary.unreadable.items()))
    for part in (*parts, _shares(result)):
        console.print()
        console.print(part)
    console.print()
    _verdict(console, summary)


def _figures(summary: Summary) -> Table:
    saved = f"{summary.compressed / summary.bytes:.0%}" if summary.bytes else "0 %"
    working = summary.seconds - summary.paused_seconds
    speed = summary.counted / working if working > 0 else 0
    flow = sized(summary.bytes / working) if working > 0 else "0 bytes"
    paused = f" and {summary.paused_seconds:.1f} s of pause" if summary.paused_seconds else ""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    for name, text in (
        ("the task log", f"{count(summary.counted, 'file')} completed, {len(summary.unreadable):,} failed"),
        ("size", f"{sized(summary.bytes)} in {count(summary.lines, 'line')}"),
        ("compressed", f"{sized(summary.compressed)}, {saved} of it"),
        ("speed", f"{working:.1f} s{paused}: {speed:,.0f} files and {flow} a second"),
        ("attempts", _attempts(summary)),
        ("parent", f"{summary.parent_status}: {summary.parent_report}"),
    ):
        table.add_row(name, Text(visible(text)))
    return table


def _attempts(summary: Summary) -> str:
    return (
        f"{summary.attempts:,} for {count(summary.files, 'file')}: {count(len(summary.again), 'task')} ran again, "
        f"{summary.given_back:,} went back unstarted"
    )


def _again(result: Result) -> Table:
    rows = [(a.path, str(a.attempt), f"{a.cause}: {a.why}") for a in result.summary.again]
    title = "ran again"
    if result.told.ran_again_after is not None:
        title += f" ({result.told.ran_again_after:.1f} s after the kill)"
    return _table((title, "attempt", "why"), rows)


def _shares(result: Result) -> Table:
    summary = result.summary
    by_slot = {share.worker: share for share in summary.shares}
    rows = []
    for name in sorted({*by_slot, *result.workers}):
        share = by_slot.get(name)
        part = share.files / summary.counted if share and summary.counted else 0
        files, size = (f"{share.files:,}", sized(share.bytes)) if share else ("0", "")
        worker = name.partition("/")[2] or name
        rows.append((worker, _processes(result, name), files, size, f"{'█' * round(part * 24)} {part:.0%}"))
    return _table(("worker", "processes", "files", "size", "share"), rows, right=("files", "size"))


def _processes(result: Result, name: str) -> str:
    killed = result.told.killed.pid if result.told.killed else None
    return ", then ".join(f"{pid}{' (killed)' * (pid == killed)}" for pid in result.workers.get(name, ()))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=number == 0)
    every = list(rows)
    for first, *rest in every[:MOST]:
        table.add_row(Text(shortened(visible(first), PATH)), *(Text(visible(cell)) for cell in rest))
    if len(every) > MOST:
        table.add_row(f"... and {len(every) - MOST:,} more")
    return table


def _verdict(console: Console, summary: Summary) -> None:
    for problem in summary.problems[:MOST]:
        console.print(Text(f"✗ {visible(problem)}", style="bold red"), soft_wrap=True)
    if summary.problems:
        console.print(
            Text(f"✗ {count(len(summary.problems), 'file')} of {summary.files:,} went wrong.", style="bold red")
        )
        return
    unread = f" {count(len(summary.unreadable), 'file')} cannot be read by anyone." if summary.unreadable else ""
    text = (
        f"✓ Every one of {count(summary.files, 'file')} was counted exactly once; a plain walk finds the same SHA-256s."
    )
    console.print(Text(f"{text}{unread}", style="bold green"), soft_wrap=not console.is_terminal)
