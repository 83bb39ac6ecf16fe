"""A snapshot on a terminal: once, or drawn anew each second in the same place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from supervisor.cli import board, layout
from taskqueue.cli.terminal import Styled
from taskqueue.operations.words import count
from taskqueue.snapshot import Snapshot
from taskqueue.visible import visible


def draw(snapshot: Snapshot, *, width: int, height: int | None = None) -> RenderableType:
    """The whole, for a terminal of `width` columns; no higher than `height`."""
    remarks = [_line([remark]) for remark in board.remarks(snapshot)]
    head = Group(_line(board.headline(snapshot)), *remarks, Text())
    lines = list(layout.lines(list(board.rows(snapshot)), width=width))
    # The headline may need several lines itself.
    above = sum(part.cell_len // width + 1 for part in head.renderables if isinstance(part, Text))
    if height is not None and len(lines) > (room := max(1, height - above - 1)):
        more = f"and {count(len(lines) - room, 'line')} more, for which this terminal is too low"
        lines = [*lines[:room], Text(more, style="dim")]
    return Group(head, *lines)


def watch(seen: Snapshot | str, *, look: Callable[[], Snapshot | str], wait: Callable[[], None]) -> NoReturn:
    """Draw what was `seen`, then what `look` finds after each `wait`; a text where there is nothing to be seen.

    It ends by KeyboardInterrupt, with the terminal as it was, and what was seen last below.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_part(seen, width=console.width, height=console.height), refresh=True)
                wait()
                seen = look()
    finally:
        console.print(_part(seen, width=console.width))


def _part(seen: Snapshot | str, *, width: int, height: int | None = None) -> RenderableType:
    return _line([Styled(seen, board.BAD)]) if isinstance(seen, str) else draw(seen, width=width, height=height)


def _line(parts: Sequence[Styled]) -> Text:
    texts = [Text(visible(part.text), style=part.style) for part in parts]
    return Text("  ", overflow="fold").join(texts)
