"""Output: tables and colour for people at a terminal, plain and stable text where it is piped, JSON for programs.

All text is data here: control characters are made visible, and nothing in it is markup.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from taskqueue.visible import visible, visible_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class Styled(NamedTuple):
    """A text with a colour, which only terminals show."""

    text: str
    style: str


Cell = str | Styled
#: blanks between columns, and the least that a column is shown for
GAP, WORTH_A_COLUMN = 2, 12


def at_terminal() -> bool:
    """Whether a person reads what we print."""
    return sys.stdout.isatty()


def width() -> int:
    """Columns of that person's terminal."""
    return _console().width


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: Sequence[str] = (), wide: Sequence[str] = ()
) -> None:
    """A table; where it is piped, tab-separated with a line of titles.

    `right` columns hold numbers. A terminal shows no columns that are empty; where it is narrow it cuts the `wide`
    ones, and leaves out the last of these where hardly anything is left of it.
    """
    if at_terminal():
        shown = [dict(zip(columns, row, strict=True)) for row in rows]
        kept = [c for c in columns if not shown or any(_text(row[c]) for row in shown)]
        _console().print(_rich_table(_fitting(kept, shown, wide), shown, right, wide))
        return
    for row in (columns, *rows):
        click.echo("\t".join(visible(_text(cell)) for cell in row))


def line(text: str, *, style: str = "") -> None:
    """A line of text."""
    if style and at_terminal():
        from rich.text import Text

        _console().print(Text(visible(text), style=style), soft_wrap=True)
    else:
        click.echo(visible(text))


def draw(what: RenderableType) -> None:
    """Something made of rich's parts. Where it is piped, lines are as long as they are."""
    console = _console()
    if at_terminal():
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    for shown in captured.get().splitlines():
        click.echo(shown.rstrip())


def note(text: str) -> None:
    """A line for the person and not for what reads our output: on stderr."""
    click.echo(visible(text), err=True)


def json(value: Any) -> None:
    """A value as JSON: times in UTC, what JSON does not know as text."""
    encoded = msgspec.json.encode(value, enc_hook=str)
    click.echo(visible_json(msgspec.json.format(encoded, indent=2).decode()))


@contextmanager
def progress(words: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while something long goes on, if a person watches; call it with how many are done by now."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=total)
        yield lambda done: bar.update(task, completed=done)


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if a person agrees. Without one `--yes` must say so (usage error)."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} nobody can be asked here: add --yes", click.get_current_context())
    click.confirm(question, abort=True, err=True)


def _fitting(columns: Sequence[str], rows: Sequence[dict[str, Cell]], wide: Sequence[str]) -> list[str]:
    if not wide or wide[-1] not in columns:
        return list(columns)
    others = [column for column in columns if column != wide[-1]]
    taken = sum(max([len(column), *(len(_text(row[column])) for row in rows)]) + GAP for column in others)
    return list(columns) if width() - taken >= WORTH_A_COLUMN else others


def _rich_table(
    columns: Sequence[str], rows: Sequence[dict[str, Cell]], right: Sequence[str], wide: Sequence[str]
) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, padding=(0, GAP, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=column not in wide)
    for row in rows:
        # A row is a line: what is too long ends in "...".
        cells = [Text(visible(_text(row[c])), style=_style(row[c]), no_wrap=True, overflow="ellipsis") for c in columns]
        made.add_row(*cells)
    return made


def _text(cell: Cell) -> str:
    return cell.text if isinstance(cell, Styled) else cell


def _style(cell: Cell) -> str:
    return cell.style if isinstance(cell, Styled) else ""


def _console() -> Console:
    from rich.console import Console

    # Made anew each time: the stream of this moment.
    return Console(highlight=False, markup=False, emoji=False, width=None if at_terminal() else 10_000)
