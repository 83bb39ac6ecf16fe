"""Rows of a board as lines of a terminal: what matters least gives way where it is narrow, and notes are never cut."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.text import Text

from supervisor.cli.board import COLUMNS, Row
from taskqueue.cli.terminal import Styled
from taskqueue.visible import visible

GAP = 2
#: numbers and spans
RIGHT = frozenset({"Pid", "Age", "For", "Done", "Restarts", "Memory"})
#: what gives way, in this order: (column, the width that it is cut to; 0: it is left out)
GIVING_WAY = (
    ("Worker", 40),
    ("Task", 30),
    ("Id", 0),
    ("Age", 0),
    ("Task", 16),
    ("Memory", 0),
    ("Restarts", 0),
    ("Pid", 0),
    ("Done", 0),
    ("Worker", 20),
    ("For", 0),
)
#: the least that a note is worth beside a row; else it stands below
BESIDE = 24


def lines(rows: Sequence[Row], *, width: int) -> Iterator[Text]:
    """The titles and the rows, none wider than `width` as long as that is reasonable."""
    widths = _fitted(rows, width)
    titles = [_cell(title, Styled(title, "bold"), n) for title, n in widths.items()]
    yield Text(" " * GAP, no_wrap=True).join(titles)
    for row in rows:
        yield from _row(row, widths, width)


def _fitted(rows: Sequence[Row], width: int) -> dict[str, int]:
    """The columns that are shown, and how wide. A column without a text is none."""
    widths = {}
    for number, title in enumerate(COLUMNS):
        if longest := max((_length(row.cells[number]) for row in rows if number < len(row.cells)), default=0):
            widths[title] = max(longest, len(title))
    for title, less in GIVING_WAY:
        if sum(widths.values()) + GAP * (len(widths) - 1) <= width:
            break
        if title in widths and less:
            widths[title] = min(widths[title], less)
        else:
            widths.pop(title, None)
    return widths


def _row(row: Row, widths: dict[str, int], width: int) -> Iterator[Text]:
    """A row, and its note: right behind it, or where it has no room there, below."""
    said = [(title, cell) for title, cell in zip(COLUMNS, row.cells, strict=False) if title in widths]
    while said and not said[-1][1].text:
        said.pop()
    line = Text(" " * GAP, no_wrap=True).join(_cell(title, cell, widths[title]) for title, cell in said)
    indent = widths.get("Worker", 0) + GAP
    room, note = width - line.cell_len - GAP, visible(row.note.text)
    if len(note) <= room or (note and room >= BESIDE and len(said) <= 2):
        first, *rest = textwrap.wrap(note, max(room, 1)) or [""]
        line.append(" " * GAP * bool(first)).append(first, style=row.note.style)
        indent = width - room
    else:
        rest = textwrap.wrap(note, max(width - indent, BESIDE))
    line.rstrip()
    yield line
    for part in rest:
        yield Text(" " * indent).append(part, style=row.note.style)


def _cell(title: str, cell: Styled, width: int) -> Text:
    text = Text(visible(cell.text), style=cell.style)
    text.truncate(width, overflow="ellipsis")
    text.align("right" if title in RIGHT else "left", width)
    return text


def _length(cell: Styled) -> int:
    return Text(visible(cell.text)).cell_len
