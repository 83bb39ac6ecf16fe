from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue.visible import storable, visible, visible_json, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("größe 日本 👍", "größe 日本 👍"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31mred", r"\x9b31mred"),
        ("invoice\u202efdp.exe", r"invoice\u202efdp.exe"),
        ("half a pair \ud800", r"half a pair \ud800"),
        ("bell\x07", r"bell\x07"),
    ],
)
def test_what_would_move_a_cursor_is_written_out(text, shown):
    assert visible(text) == shown


def test_line_breaks_stay_where_they_are_wanted():
    assert visible_lines("one\r\ntwo\n\tthree\x1b") == "one\ntwo\n\tthree\\x1b"


@given(st.text())
def test_one_line_stays_one_line(text):
    assert len(visible(text).splitlines()) <= 1


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_means_the_same_and_moves_no_cursor(value):
    shown = visible_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(shown) == value
    assert not {"\x1b", "\x9b", "\u202e"} & set(shown)


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_it_is_can_be_stored(text: str) -> None:
    stored = storable(text, most=10)
    assert "\0" not in stored
    assert stored.encode().decode() == stored
    assert len(stored) < 50
