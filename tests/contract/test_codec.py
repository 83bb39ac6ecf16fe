"""Every wire form ever released is read for ever, and the present one is what those who read it expect (P21).

The golden files are only added to. A change here is a change of the protocol.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from taskqueue import codec
from taskqueue.options import TaskOptions
from taskqueue.registry import REGISTRY
from taskqueue.report import Report
from taskqueue.task import AbstractTask, task

GOLDEN = Path(__file__).parent / "golden"
MESSAGES = msgspec.json.decode((GOLDEN / "messages-v1.json").read_bytes())
REPORTS = msgspec.json.decode((GOLDEN / "reports-v1.json").read_bytes())
ID, PARENT, CREATED = (
    "019b7cb3-6000-7000-8000-000000000001",
    "019b7cb3-6000-7000-8000-000000000000",
    1_767_225_600_000_000,
)


class Color(enum.Enum):
    RED = "red"


@dataclass
class Order:
    id: int
    due: datetime | None = None


@task(name="golden.plain", secret=("password",))
def plain(to: str, *, count: int = 1, ratio: float = 1.0, password: str = "") -> None: ...


@task(name="golden.anything")
def anything(value: Any) -> None: ...


@task(name="golden.typed")
def typed(color: Color, order: Order) -> None: ...


@task(name="golden.positional")
def positional(first: int, /, second: int, *rest: int) -> None: ...


class Upload(AbstractTask, name="golden.upload"):
    def __call__(self) -> None: ...


def upload() -> AbstractTask:
    made = Upload()
    made.set_parameter("file", "a.txt")
    return made


def described() -> AbstractTask:
    made = plain.bind("ann")
    made.owner, made.label, made.category, made.parent_id, made.master_status = "ann", "nightly", "mail", PARENT, True
    return made


RICH = {
    "datetime": datetime(2026, 1, 31, 8, 30, 0, 5, UTC),
    "date": date(2026, 1, 31),
    "time": time(8, 30),
    "timedelta": timedelta(hours=1),
    "uuid": UUID(int=1),
    "decimal": Decimal("1.10"),
    "bytes": b"\x00\xff",
    "tuple": (1, ["two"]),
    "set": {1},
    "frozenset": frozenset({"a"}),
    "dict": {"$set": [1], "plain": None},
}
OPTIONS = TaskOptions(retries=3, backoff=2, backoff_factor=3, backoff_max=60, timeout=30, max_crashes=1)

TASKS: dict[str, tuple[Callable[[], AbstractTask], TaskOptions]] = {
    "a function": (lambda: plain.bind("ann", count=2, ratio=0.5), TaskOptions()),
    "no arguments but those needed": (lambda: plain.bind("ünï"), TaskOptions()),
    "everything said": (described, OPTIONS),
    "a secret": (lambda: plain.bind("ann", password="pw"), TaskOptions()),
    "rich values": (lambda: anything.bind(RICH), TaskOptions()),
    "typed values": (lambda: typed.bind(Color.RED, Order(1, datetime(2026, 1, 1, tzinfo=UTC))), TaskOptions()),
    "arguments by position": (lambda: positional.bind(1, 2, 3, 4), TaskOptions()),
    "a class": (upload, TaskOptions()),
}
STORED = {
    "bare": Report.success(),
    "a value": Report.success("done", {"rows": 3}),
    "rich data": Report.info("rich", RICH),
    "a tree": Report.warning("mostly").with_children(Report.success("one"), Report.error("two", data=[1])),
}


def made(title: str) -> AbstractTask:
    made = TASKS[title][0]()
    made.id, made.created_at = ID, CREATED
    return made


def test_there_is_a_golden_form_of_each() -> None:
    assert MESSAGES.keys() >= TASKS.keys()
    assert REPORTS.keys() >= STORED.keys()


@pytest.mark.parametrize("title", TASKS)
def test_every_released_message_is_read(title: str) -> None:
    decoded = codec.decode(msgspec.json.encode(MESSAGES[title]), REGISTRY)
    expected = made(title)
    assert vars(decoded.task).items() >= {n: v for n, v in vars(expected).items() if n != "options"}.items()
    assert decoded.options == TASKS[title][1]


@pytest.mark.parametrize("title", TASKS)
def test_messages_are_written_as_released(title: str) -> None:
    assert msgspec.json.decode(codec.encode(made(title), TASKS[title][1])) == MESSAGES[title]


def test_what_a_tracer_sends_along_is_read_and_written_as_released() -> None:
    task, traced = plain.bind("ann"), MESSAGES["one that is traced"]
    task.id, task.created_at = ID, CREATED
    assert codec.decode(msgspec.json.encode(traced), REGISTRY).header.trace == traced["trace"]
    assert msgspec.json.decode(codec.encode(task, trace=traced["trace"])) == traced
    again = codec.reissue(msgspec.json.encode(traced), id=ID, created_at=CREATED)
    assert codec.peek(again).trace is None


@pytest.mark.parametrize("title", STORED)
def test_every_released_report_is_read(title: str) -> None:
    assert codec.decode_report(msgspec.json.encode(REPORTS[title])) == STORED[title]


@pytest.mark.parametrize("title", STORED)
def test_reports_are_written_as_released(title: str) -> None:
    assert msgspec.json.decode(codec.encode_report(STORED[title])) == REPORTS[title]
