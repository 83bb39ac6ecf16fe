"""What a person sees while the demo runs: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from taskqueue.visible import visible


class Screen:
    """Writes to a rich console. File names and the like are text, never markup."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar: tuple[Progress, TaskID] | None = None
        self._total = 0
        self._next = 0

    def line(self, text: str, *, style: str = "") -> None:
        """A line of text; several where a terminal is too narrow for it."""
        self.console.print(Text(visible(text), style=style), soft_wrap=not self.console.is_terminal)

    def event(self, text: str, *, good: bool = True) -> None:
        """Something happened."""
        mark, style = ("✓", "green") if good else ("✗", "red")
        if not self.console.is_terminal:
            self.line(f"  {mark} {text}")
            return
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_row(f"  {mark}", Text(visible(text)), style=style)
        self.console.print(row)

    def typed(self, command: str, printed: str) -> None:
        """A command, and what it printed on a terminal of `width` columns."""
        lines = [Text(f"$ {command}", style="bold"), *map(Text.from_ansi, printed.rstrip().splitlines())]
        for line in lines:
            line.rstrip()
            self.console.print(Text("    ").append(line), soft_wrap=True)

    @property
    def width(self) -> int:
        """Columns for what is printed by others."""
        return self.console.width - 4

    @contextmanager
    def showing(self, total: int) -> Iterator[None]:
        """Inside, `progress` is shown."""
        self._total, self._next = total, 0
        if not self.console.is_terminal:
            yield
            return
        columns = (
            SpinnerColumn(),
            BarColumn(bar_width=40),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} files"),
            TextColumn("{task.fields[rate]}", style="cyan"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console) as bar:
            self._bar = bar, bar.add_task("", total=total, rate="")
            yield
        self._bar = None

    def progress(self, done: int) -> None:
        """So many files are done."""
        if self._bar is not None:
            bar, task = self._bar
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, rate=f"{speed:,.0f} a second" if speed else "")
        elif done >= self._next:
            self.line(f"  {done:,} of {self._total:,} files")
            self._next = done + max(1, self._total // 5)
