"""Reports and families of tasks as trees that a template can walk, capped so that no report is too large to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from taskqueue.operations.times import seconds
from taskqueue.operations.words import count
from taskqueue.report import Report
from taskqueue.tasklog.entry import Entry

#: nodes and levels of a report, characters of a text or value, and children that are shown
NODES, LEVELS, LONGEST, CHILDREN = 400, 24, 20_000, 50
_encoder = msgspec.json.Encoder(enc_hook=str)


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A report: `text` its message's first line, `block` the others and a traceback, `data` its value as JSON."""

    kind: str
    text: str
    block: str = ""
    data: str = ""
    children: list[Node] = []


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A task in its family; `here` is the one that the page is about."""

    id: str
    name: str
    status: str
    label: str | None
    more: str
    here: bool
    children: list[Member] = []


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """The parent, if there is one, the task below it, and its children."""

    root: Member
    note: str = ""


def report_tree(report: Report) -> Node:
    """The report as nodes; what is too much is counted."""
    left = [NODES]

    def node(one: Report, level: int) -> Node:
        left[0] -= 1
        children: list[Node] = []
        for child in one.children:
            if level >= LEVELS or left[0] <= 0:
                children.append(Node(kind="info", text="There is more, which is not shown here."))
                break
            children.append(node(child, level + 1))
        said, value = (one.data, None) if not one.message and isinstance(one.data, str) else (one.message, one.data)
        text, _, rest = said.partition("\n")
        block, data = _data(value)
        blocks = "\n".join(filter(None, [rest, block]))
        return Node(kind=one.kind.value, text=_capped(text), block=_capped(blocks), data=data, children=children)

    return node(report, 1)


def value_text(value: Any) -> str:
    """A value as people read it: text as it is, anything else as JSON."""
    return _capped(value if isinstance(value, str) else _json(value))


def family_of(entry: Entry, parent: Entry | None, children: Sequence[Entry]) -> Family | None:
    """The task among its own; None if it stands alone."""
    if parent is None and not children:
        return None
    below = [_member(child) for child in children[:CHILDREN]]
    here = _member(entry, here=True, children=below)
    more = len(children) - CHILDREN
    return Family(
        root=here if parent is None else _member(parent, children=[here]),
        note=f"{count(more, 'more child').replace('childs', 'children')}." if more > 0 else "",
    )


def _member(entry: Entry, *, here: bool = False, children: Sequence[Member] = ()) -> Member:
    took = entry.started_at and entry.finished_at and seconds((entry.finished_at - entry.started_at) / 1e6)
    return Member(
        id=entry.id,
        name=entry.name,
        status=entry.status.label,
        label=entry.label,
        more=took or "",
        here=here,
        children=list(children),
    )


def _data(value: Any) -> tuple[str, str]:
    """A traceback out of it, and the rest as JSON."""
    if value is None:
        return "", ""
    if isinstance(value, dict) and isinstance(value.get("traceback"), str):
        rest = {name: one for name, one in value.items() if name not in ("traceback", "type")}
        return value["traceback"], _capped(_json(rest)) if rest else ""
    return "", _capped(_json(value))


def _json(value: Any) -> str:
    try:
        return msgspec.json.format(_encoder.encode(value), indent=2).decode()
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _capped(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n... {len(text) - LONGEST:,} more characters"
