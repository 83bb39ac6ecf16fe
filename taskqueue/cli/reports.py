"""A report, for people: a tree of kinds, messages and data."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.text import Text
from rich.tree import Tree

from taskqueue.report import Kind, Report
from taskqueue.visible import visible_json, visible_lines

STYLES = {Kind.INFO: "blue", Kind.SUCCESS: "green", Kind.WARNING: "yellow", Kind.ERROR: "bold red"}
#: characters of one value that are shown
MOST = 20_000


def tree(report: Report) -> Tree:
    """The report and all below it."""
    made = Tree(_head(report), guide_style="dim")
    for node in _data_nodes(report.data):
        made.add(node)
    for child in report.children:
        made.add(tree(child))
    return made


def value_text(value: Any) -> str:
    """A value on one line if it is short, as JSON but for text that stands as it is."""
    if isinstance(value, str):
        return _cut(visible_lines(value))
    encoded = msgspec.json.encode(value, enc_hook=str)
    shown = encoded if len(encoded) <= 80 else msgspec.json.format(encoded, indent=2)
    return _cut(visible_json(shown.decode()))


def _head(report: Report) -> Text:
    return Text.assemble((report.kind.value, STYLES[report.kind]), "  ", visible_lines(report.message))


def _data_nodes(data: Any) -> list[Text]:
    if data is None:
        return []
    if not isinstance(data, dict) or not data:
        return [Text(value_text(data))]
    return [_named(str(name), value_text(value)) for name, value in data.items()]


def _named(name: str, text: str) -> Text:
    # A text of several lines begins below its name, so that a traceback keeps its shape.
    between = "\n" if "\n" in text.rstrip() else " "
    return Text.assemble((f"{visible_lines(name)}:", "bold"), between, text.rstrip())


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[:MOST]}... ({len(text):,} characters; --json shows all)"
