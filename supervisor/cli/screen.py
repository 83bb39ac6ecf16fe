"""A snapshot on a terminal: once, or drawn anew each second in the same place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from supervisor.cli import board
from supervisor.snapshot import Snapshot
from taskqueue.cli import terminal
from taskqueue.cli.terminal import Cell, Styled
from taskqueue.cli.words import count
from taskqueue.visible import visible


def draw(snapshot: Snapshot, *, lines: int | None = None) -> RenderableType:
    """The whole; no longer than `lines`."""
    head = [_line(board.headline(snapshot)), *(_line([remark]) for remark in board.remarks(snapshot))]
    rows, more = list(board.rows(snapshot)), ""
    if lines is not None and len(rows) > (room := max(0, lines - len(head) - 3)):
        more = f"and {count(len(rows) - room, 'line')} more, for which this terminal is too low"
        rows = rows[:room]
    return Group(*head, Text(), _table(rows), *([Text(more, style="dim")] if more else []))


def watch(seen: Snapshot | str, *, look: Callable[[], Snapshot | str], wait: Callable[[], None]) -> NoReturn:
    """Draw what was `seen`, then what `look` finds after each `wait`; a text where there is nothing to be seen.

    It ends by KeyboardInterrupt, with the terminal as it was, and what was seen last below.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_part(seen, console.height), refresh=True)
                wait()
                seen = look()
    finally:
        console.print(_part(seen, None))


def _part(seen: Snapshot | str, lines: int | None) -> RenderableType:
    return _line([Styled(seen, board.BAD)]) if isinstance(seen, str) else draw(seen, lines=lines)


def _table(rows: Iterable[Sequence[Cell]]) -> RenderableType:
    return terminal.grid(board.COLUMNS, rows, right=board.RIGHT, wide=board.WIDE)


def _line(parts: Sequence[Styled]) -> Text:
    text = Text(overflow="fold")
    for number, part in enumerate(parts):
        text.append("  " if number else "")
        text.append(visible(part.text), style=part.style)
    return text
