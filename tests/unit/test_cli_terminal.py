"""Tables for people, plain text where it is piped, and no text that is taken for markup or a command."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout

import pytest

from taskqueue.cli import terminal
from taskqueue.cli.terminal import Styled

COLUMNS = ("Id", "Status", "Count", "Empty", "What")
ROWS = [
    ("0199", Styled("failed", "bold red"), "3", "", "[red]no[/red] \x1b[2Kmarkup"),
    ("0200", Styled("completed", "green"), "12", "", "x" * 200),
]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Screen()


def table(screen: io.StringIO) -> str:
    with redirect_stdout(screen):
        terminal.table(COLUMNS, ROWS, right=("Count",), wide=("What",))
    return screen.getvalue()


def test_where_it_is_piped_a_table_is_tab_separated_whole_and_plain():
    titles, first, second = table(io.StringIO()).splitlines()
    assert titles.split("\t") == list(COLUMNS)
    assert first.split("\t") == ["0199", "failed", "3", "", r"[red]no[/red] \x1b[2Kmarkup"]
    assert second.split("\t")[-1] == "x" * 200


def test_at_a_terminal_a_row_is_a_line_that_fits_in_colour_without_empty_columns(screen, monkeypatch):
    assert "\x1b[1;31mfailed" in table(screen)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = re.sub(r"\x1b\[[\d;]*m", "", table(Screen())).splitlines()
    assert len(plain) == 3
    assert "Empty" not in plain[0]
    assert r"[red]no[/red] \x1b[2K" in plain[1]
    assert all(len(line) <= 60 for line in plain)


def test_a_column_of_which_hardly_anything_is_left_is_left_out(screen, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    shown = table(screen)
    assert "What" not in shown
    assert "0199" in shown


def test_json_has_times_as_text_and_control_characters_escaped(capsys):
    terminal.json({"a": "\x9b31m", "b": {1}, "c": b"x", "d": ValueError("odd")})
    out = capsys.readouterr().out
    assert r'"\u009b31m"' in out
    assert '"odd"' in out


def test_without_a_person_watching_there_is_no_bar(capsys):
    with terminal.progress("working", 3) as show:
        show(3)
    assert capsys.readouterr() == ("", "")
