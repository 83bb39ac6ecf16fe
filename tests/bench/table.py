"""The table, for people: coloured at a terminal, plain text elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.rows import ROWS, Result, Row, verdict

COLOURS = {"aim": "green", "reach": "yellow", "short": "red", "": "dim"}


def show(results: Mapping[str, Result], missing: Mapping[str, str], notes: Mapping[str, str]) -> None:
    """Print it, with what was found around it."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=150)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("what", "ours", "beside", "which is", "ratio", "reach", "aim", ""):
        table.add_column(head, justify="left" if head in ("what", "which is", "") else "right")
    for name, result in results.items():
        table.add_row(*cells(ROWS[name], result, missing))
    console.print(table)
    for name, text in notes.items():
        console.print(f"[bold]{name}[/]: {text}", highlight=False)


def cells(row: Row, result: Result, missing: Mapping[str, str]) -> list[str]:
    """One line of it."""
    word = verdict(row, result)
    said = f"{row.said}: {result.by}" if len(row.against) > 1 and result.by else row.said
    if row.against and result.others is None:
        said += f" ({missing.get(row.against[0][0], 'not run')})"
    if result.ours is None:
        word = missing.get(row.ours[0], "not run")
    return [
        row.text,
        number(result.ours, row.unit),
        number(result.others, row.unit),
        said,
        number(result.ratio),
        number(row.reach),
        number(row.aim),
        f"[{COLOURS.get(word, 'red')}]{word}[/]",
    ]


def number(value: float | None, unit: str = "") -> str:
    """With as many digits as mean something."""
    if value is None:
        return ""
    text = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{text} {unit}".strip() if unit != "/s" else f"{text}/s"
