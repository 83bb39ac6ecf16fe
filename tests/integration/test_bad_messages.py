"""Messages from strangers, by the hundred, straight into each broker (P7, P8): each is filed once with its reason.

A worker survives them all, and the good tasks among them run.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskqueue import Status, codec
from taskqueue.app import App
from taskqueue.ids import new_id
from taskqueue.message import Message
from taskqueue.settings import parse
from taskqueue.worker.leaving import Limits
from tests.support import tasks
from tests.support.stores import NAMES, configured

CONFIG = """
[app]
modules = ["tests.support.tasks"]
[brokers.main]
{stores}
[queues.default]
unknown_grace = 0
"""
#: what no worker may do for a message: it would be seen
EVIL = [
    "os:system",
    "builtins:eval",
    "tests.support.opens_things:open_things",
    "subprocess:run",
    "__main__:x",
    "a\n\x1b[2J",
]
TEXT = st.one_of(st.text(max_size=12), st.sampled_from(["\0", "x" * 300, "\x1b[31m\n", "' OR 1=1 --", "\u202e"]))
NUMBERS = st.one_of(st.integers(), st.sampled_from([2**63, 2**64 - 1, -(2**63), 10**400]), st.floats())
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "v": st.one_of(st.integers(-1, 3), NUMBERS, TEXT),
        "task": st.one_of(st.sampled_from(EVIL), TEXT),
        "created": VALUES,
        "owner": VALUES,
        "label": VALUES,
        "parent": VALUES,
        "params": st.one_of(st.dictionaries(TEXT, VALUES, max_size=3), VALUES, st.just({"a": nested(200), "b": 1})),
        "args": st.one_of(st.lists(VALUES, max_size=3), VALUES),
        "options": st.one_of(
            st.dictionaries(
                st.sampled_from(["timeout", "retries", "backoff", "queue", "delay", "x"]), VALUES, max_size=2
            ),
            VALUES,
        ),
        "secret": VALUES,
        "more": VALUES,
    },
)
BODIES = st.one_of(
    st.binary(max_size=50),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"", b"[" * 50_000, b'{"v":1,"id":' * 5_000, b'{"v":' + b"9" * 5_000 + b"}", b"\x80\x04K\x01.", b"{}"]
    ),
)


def nearly(fields: dict[str, Any]) -> Callable[[str], bytes]:
    """A message of ours but for these fields."""
    good = {"v": 1, "task": "tests.support.tasks:add", "created": 1767225600000000, "params": {"a": 1, "b": 2}}
    return lambda task_id: json.dumps(good | {"id": task_id} | fields).encode()


BAD = st.one_of(FIELDS.map(nearly), FIELDS.map(nearly), BODIES.map(lambda body: lambda _id: body))


@pytest.fixture(params=NAMES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    text = CONFIG.format(stores=configured(request.param, tmp_path))
    opened = App(parse(text, file=tmp_path / "taskqueue.toml"))
    opened.dispatcher.initialize()
    yield opened
    opened.dispatcher.close()
    opened.close()


def readable(body: bytes) -> bool:
    """Whether it is a message at all, whoever may run it."""
    try:
        codec.peek(body)
    except codec.messages.MessageInvalid:
        return False
    return True


def survives(app: App, bad: list[Callable[[str], bytes]], caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    queue, log = app.dispatcher.queue("default"), app.dispatcher.task_log
    sent = [Message(task_id := new_id(), body(task_id)) for body in bad]
    first = app.dispatcher.enqueue(tasks.add, 1, 1)
    queue.broker.push(sent)
    last = app.dispatcher.enqueue(tasks.add, 2, 2)
    with caplog.at_level(logging.INFO):
        assert app.worker(["default"], Limits(drain=True)).run() == 0
    assert (first.result(), last.result()) == (2, 4)
    assert queue.broker.depth().total == 0
    refused = Counter(vars(record)["task_id"] for record in caplog.records if record.getMessage() == "message refused")
    for message in sent:
        entry = log.get(message.id)
        assert entry.status.ended, entry
        assert entry.payload == message.body
        if entry.status is Status.FAILED:
            report = log.report(message.id)
            assert report is not None
            assert report.message
        assert entry.attempts <= 1
        # Why is said once, and for each.
        assert refused[message.id] == (not readable(message.body))
    assert not [record for record in caplog.records if record.exc_info]


some = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@settings(some, max_examples=2)
@given(bad=st.lists(BAD, min_size=10, max_size=40))
def test_a_worker_survives_whatever_is_in_its_queue(app: App, caplog, bad) -> None:
    survives(app, bad, caplog)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(some, max_examples=200)
@given(bad=st.lists(BAD, min_size=20, max_size=60))
def test_a_worker_survives_thousands_of_whatever_is_in_its_queue(app: App, caplog, bad) -> None:
    survives(app, bad, caplog)
