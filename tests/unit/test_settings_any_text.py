"""Any text at all as a configuration: settings, or one ConfigurationError, and soon (P18)."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskqueue.errors import ConfigurationError
from taskqueue.settings import Settings, parse

TABLES = ["app", "brokers", "task_log", "queue_defaults", "queues", "pools", "supervisor", "logging", "app.routes"]
NAMES = ["main", "mail", "default", "a.b", "ünï", "\\u001b[31m", "", "x" * 300]
KEYS = [
    "url", "modules", "preload", "root", "default_queue", "lease", "timeout", "workers", "broker", "queues", "selector",
    "retention", "prefix", "grace", "control_socket", "pidfile", "exit_when", "format", "level", "commit", "weight",
    "max_memory", "max_tasks", "retries", "unknown_grace", "nonsense",
]  # fmt: skip
VALUES = [
    '"sqlite:///tasks.db"', '"postgresql+psycopg://u:s3cret@h:99999/d"', '"sqs://"', '"memory://"', '"://"', '"30s"',
    '"1e999d"', "1e999", "-1", "nan", "inf", "9" * 5000, "0x" + "f" * 5000, "true", "[]", "{}", "1979-05-27", '"${X}"',
    '"${file:/dev/zero}"', '"${file:/nonexistent}"', '"$"', '"${X:-${Y}}"', '["a", 1, {}]', '"\\u0000"', '"\\ud800"',
    "{ a = 1 }", '""', '"' + "$" * 2000 + '"', '"strict"', '"cpus"', "[" * 300 + "]" * 300, '"\\u001b[2J"',
]  # fmt: skip
LONGEST = 5.0


@st.composite
def nearly_toml(draw: st.DrawFn) -> str:
    """Tables, keys and values that exist, put together by somebody who has not read the manual."""
    lines = []
    for _ in range(draw(st.integers(1, 5))):
        table, name = draw(st.sampled_from(TABLES)), draw(st.sampled_from(NAMES))
        lines.append(draw(st.sampled_from([f"[{table}]", f'[{table}."{name}"]', f'[[{table}."{name}"]]'])))
        pairs = draw(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)), max_size=4))
        lines += [f"{key} = {value}" for key, value in pairs]
    if draw(st.booleans()):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.text(max_size=10)))
    return "\n".join(lines)


TEXTS = st.one_of(
    nearly_toml(), nearly_toml(), st.text(max_size=200), st.sampled_from(["a." * 5000 + "b = 1", "[" * 99_999])
)
SETS = st.lists(
    st.one_of(st.text(max_size=20), st.builds("{}={}".format, st.sampled_from(KEYS), st.text())), max_size=2
)


def read(text: str, sets: list[str]) -> Any:
    began = time.monotonic()
    try:
        found: Any = parse(text, sets=sets, environ={"X": "9", "Z": "s3cret"})
    except ConfigurationError as refused:
        found = refused
    assert time.monotonic() - began < LONGEST
    return found


def hold(found: Any) -> None:
    assert isinstance(found, Settings | ConfigurationError)
    if isinstance(found, ConfigurationError):
        assert str(found)
        assert "s3cret" not in str(found)


@settings(max_examples=250)
@given(text=TEXTS, sets=SETS)
def test_any_text_is_settings_or_refused_as_a_configuration(text: str, sets: list[str]) -> None:
    hold(read(text, sets))


@pytest.mark.soak
@pytest.mark.timeout(900)
@settings(max_examples=30_000)
@given(text=TEXTS, sets=SETS)
def test_any_of_many_texts_is_settings_or_refused_as_a_configuration(text: str, sets: list[str]) -> None:
    hold(read(text, sets))
