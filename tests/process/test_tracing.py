"""Traces: spans where tasks are enqueued and where they run, in other processes, joined through their messages.

The attributes are those of https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from taskqueue import codec, tracing
from taskqueue.errors import ConfigurationError
from taskqueue.hooks import HOOKS
from tests.support import tasks
from tests.support.project import REPOSITORY

pytestmark = pytest.mark.process

MODULES = 'modules = ["tests.support.tasks"'


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.instrument(provider)
    yield provider
    tracing.uninstrument()
    provider.shutdown()


@pytest.fixture
def sent(exporter, provider):
    """The spans of this process, as JSON."""
    return lambda: [json.loads(span.to_json()) for span in exporter.get_finished_spans()]


@pytest.fixture
def traced(project):
    """A project whose workers trace."""
    project.config.write_text(project.config.read_text().replace(MODULES, f'{MODULES}, "tests.support.tracing_app"'))
    project.variables["SPANS"] = str(project.folder / "spans")
    return project


def ran(project) -> list[dict[str, Any]]:
    """The workers' spans, in order of their start."""
    found = [json.loads(line) for line in (project.folder / "spans").read_text().splitlines()]
    return sorted(found, key=lambda span: span["start_time"])


def place(span) -> tuple[str, str]:
    return span["context"]["trace_id"], span["context"]["span_id"]


def links(span) -> list[tuple[str, str]]:
    return [(link["context"]["trace_id"], link["context"]["span_id"]) for link in span["links"]]


def test_a_run_belongs_to_where_its_task_was_enqueued(traced, sent, provider):
    with provider.get_tracer("shop").start_as_current_span("checkout"):
        handle = traced.queue.enqueue(tasks.add, 1, 2)
    assert traced.drain() == 0
    send, checkout = sent()
    (process,) = ran(traced)
    assert send["name"] == "send default"
    assert send["kind"] == "SpanKind.PRODUCER"
    assert send["parent_id"] == checkout["context"]["span_id"]
    assert send["attributes"] == {
        "messaging.system": "taskqueue",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "default",
        "messaging.message.id": handle.id,
        "taskqueue.task.name": tasks.add.name,
    }
    assert process["name"] == f"process {tasks.add.name}"
    assert process["kind"] == "SpanKind.CONSUMER"
    assert (process["context"]["trace_id"], process["parent_id"]) == place(send)
    assert links(process) == [place(send)]
    assert process["status"]["status_code"] == "UNSET"
    assert process["attributes"].pop("messaging.client.id")
    assert process["attributes"] == {
        "messaging.system": "taskqueue",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "default",
        "messaging.message.id": handle.id,
        "taskqueue.task.name": tasks.add.name,
        "taskqueue.attempt": 1,
        "taskqueue.outcome": "completed",
    }


def test_what_a_coroutine_enqueues_belongs_to_it(project, sent, provider):
    async def shop():
        with provider.get_tracer("shop").start_as_current_span("checkout"):
            await project.queue.enqueue_async(tasks.add, 1, 2)

    asyncio.run(shop())
    send, checkout = sent()
    assert send["parent_id"] == checkout["context"]["span_id"]


def test_tasks_that_are_enqueued_together_are_one_span(traced, sent):
    traced.queue.enqueue_many([tasks.add.bind(1, 2), tasks.add.bind(3, 4), tasks.pid.bind()])
    traced.drain()
    (send,) = sent()
    assert send["attributes"]["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in send["attributes"]
    assert {span["parent_id"] for span in ran(traced)} == {send["context"]["span_id"]}
    assert len(ran(traced)) == 3


def test_an_exception_is_recorded_and_each_attempt_is_a_span(traced, sent):
    traced.queue.enqueue(tasks.fails, "bad day")
    traced.worker("default", "--limit", "3").wait()
    (send,) = sent()
    spans = ran(traced)
    assert [span["attributes"]["taskqueue.attempt"] for span in spans] == [1, 2, 3]
    assert [span["attributes"]["taskqueue.outcome"] for span in spans] == ["retry", "retry", "failed"]
    for span in spans:
        assert span["parent_id"] == send["context"]["span_id"]
        assert links(span) == [place(send)]
        assert span["status"] == {"status_code": "ERROR", "description": "ValueError: bad day"}
        assert span["attributes"]["error.type"] == "ValueError"
        (event,) = span["events"]
        assert event["attributes"]["exception.message"] == "bad day"
        assert "raise ValueError(text)" in event["attributes"]["exception.stacktrace"]


def test_a_task_that_answers_that_it_failed_is_an_error_without_an_exception(traced, sent):
    traced.queue.enqueue(tasks.tells, 0, "answer")
    traced.drain()
    (process,) = ran(traced)
    assert process["status"] == {"status_code": "ERROR", "description": "no luck"}
    assert process["events"] == []


def test_children_belong_to_the_run_that_made_them(traced, sent):
    traced.queue.enqueue(tasks.parent, 2, str(traced.ledger))
    traced.drain()
    parent, send, *children = ran(traced)
    assert (send["name"], send["parent_id"]) == ("send default", parent["context"]["span_id"])
    assert [child["parent_id"] for child in children] == [send["context"]["span_id"]] * 2
    assert {child["attributes"]["taskqueue.parent.id"] for child in children} == {
        parent["attributes"]["messaging.message.id"]
    }
    assert len({span["context"]["trace_id"] for span in (parent, send, *children, *sent())}) == 1


def test_a_task_that_is_repeated_is_linked_to_where_it_was_enqueued_first(traced, sent):
    handle = traced.queue.enqueue(tasks.add, 1, 2)
    traced.drain()
    traced.queue.retry(handle.id)
    traced.drain()
    first, again = sent()
    assert first["context"]["trace_id"] != again["context"]["trace_id"]
    assert links(again) == [place(first)]
    assert [links(span) for span in ran(traced)] == [[place(first)], [place(again)]]


def test_what_runs_at_once_is_traced_too(traced, sent, make_project, tmp_path):
    folder = tmp_path / "memory"
    folder.mkdir()
    from tests.support.project import Project

    memory = Project(folder, stores='url = "memory://"')
    memory.queue.enqueue(tasks.add_async, 1, 2)
    process, send = sent()
    assert (process["name"], send["name"]) == (f"process {tasks.add_async.name}", "send default")
    assert process["parent_id"] == send["context"]["span_id"]
    memory.close()


def test_a_worker_that_does_not_trace_runs_what_was_traced(project, sent):
    handle = project.queue.enqueue(tasks.add, 1, 2)
    project.drain()
    assert handle.result() == 3
    assert "traceparent" in codec.peek(project.queue.task_log.get(handle.id).payload).trace


def test_without_a_provider_a_message_is_as_it_is_without_traces(project):
    plain = len(project.queue.task_log.get(project.queue.enqueue(tasks.add, 1, 2).id).payload)
    tracing.instrument(trace.NoOpTracerProvider())
    try:
        handle = project.queue.enqueue(tasks.add, 1, 2)
    finally:
        tracing.uninstrument()
    assert len(project.queue.task_log.get(handle.id).payload) == plain


def test_of_a_context_that_is_too_large_only_the_span_is_sent(project, sent):
    from opentelemetry import baggage, context

    half = "x" * (tracing.MOST // 2)
    large = baggage.set_baggage("one", half, baggage.set_baggage("two", half))
    token = context.attach(large)
    try:
        handle = project.queue.enqueue(tasks.add, 1, 2)
    finally:
        context.detach(token)
    assert codec.peek(project.queue.task_log.get(handle.id).payload).trace.keys() == {"traceparent"}


def test_instrumenting_twice_traces_once(project, provider, exporter):
    before = list(HOOKS.worker_stop)
    tracing.instrument(provider)
    assert len(HOOKS.worker_stop) == len(before)
    project.queue.enqueue(tasks.add, 1, 2)
    assert len(exporter.get_finished_spans()) == 1
    tracing.uninstrument()
    project.queue.enqueue(tasks.add, 1, 2)
    assert len(exporter.get_finished_spans()) == 1


def test_nothing_of_opentelemetry_is_imported_unless_it_is_asked_for(project):
    program = (
        "import sys, taskqueue, taskqueue.app, taskqueue.tracing, taskqueue.worker.loop;"
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], cwd=REPOSITORY, text=True).strip() == "[]"


def test_where_it_is_not_installed_that_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ConfigurationError, match=r"install taskqueue-supervisor\[otel\]"):
        tracing.instrument()
