"""Traces by OpenTelemetry: a span where tasks are enqueued, one where each runs, joined through the message.

    # an [app] module, and every program that enqueues
    import taskqueue.tracing
    taskqueue.tracing.instrument()

    send QUEUE     PRODUCER, around an enqueue, a batch of them, the children of a task, or `retry`
    process TASK   CONSUMER, around each run; child of the span that sent its message, and linked to it

Attributes are those of the messaging conventions (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/),
but for the name of a run, which says the task: a queue has many. Where nobody called `instrument`, nothing of
OpenTelemetry is imported. Which provider and exporter there are is the application's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from taskqueue.errors import ConfigurationError
from taskqueue.hooks import HOOKS, Ended, Running, Sent, Tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, TracerProvider

#: what a message carries of its context at most, in characters; of one that is larger, with what a caller has brought
#: along, only which span it is
MOST = 4096
#: how long, in milliseconds, a worker that leaves waits for its last spans to be exported
FLUSH = 5000
SYSTEM = "taskqueue"


def instrument(tracer_provider: TracerProvider | None = None) -> None:
    """Trace from now on in this process and in those that are forked from it; once is enough, and twice is as good.

    `tracer_provider` instead of the one that the application sets for all, now or later. Raises ConfigurationError
    where OpenTelemetry is not installed.
    """
    try:
        import opentelemetry.trace  # noqa: F401  # whether it is there
    except ImportError as error:
        raise ConfigurationError(
            f"traces need OpenTelemetry ({error}); install taskqueue-supervisor[otel], or leave out "
            "taskqueue.tracing.instrument()"
        ) from error
    uninstrument()
    HOOKS.tracer = tracer = OpenTelemetry(tracer_provider)
    # A worker leaves without the interpreter's own clean-up, which would export them.
    HOOKS.worker_stop.append(tracer.flush)


def uninstrument() -> None:
    """Trace no more."""
    tracer, HOOKS.tracer = HOOKS.tracer, None
    if isinstance(tracer, OpenTelemetry):
        HOOKS.worker_stop.remove(tracer.flush)


class OpenTelemetry(Tracer):
    """Spans by way of OpenTelemetry's API."""

    def __init__(self, provider: TracerProvider | None) -> None:
        from opentelemetry import trace

        from taskqueue import __version__

        self._provider = provider
        self._tracer = trace.get_tracer(SYSTEM, __version__, provider)

    @contextmanager
    def sending(self, *, repeats: Sequence[Mapping[str, str] | None] = ()) -> Iterator[Sent]:
        from opentelemetry import propagate, trace

        links = [link for headers in repeats for link in _links(headers)]
        with self._tracer.start_as_current_span("send", kind=trace.SpanKind.PRODUCER, links=links) as span:
            headers: dict[str, str] = {}
            propagate.inject(headers)
            yield Sent(_fitting(headers), lambda messages: _describe(span, messages))

    @contextmanager
    def processing(self, run: Running) -> Iterator[Ended]:
        from opentelemetry import context, propagate, trace

        token = context.attach(propagate.extract(run.headers or {}))
        try:
            with self._tracer.start_as_current_span(
                f"process {run.name}",
                kind=trace.SpanKind.CONSUMER,
                links=_links(run.headers),
                attributes=_of_run(run),
                record_exception=False,  # what a task raises is told by `raised`; nothing else comes this way
            ) as span:
                yield lambda outcome, problem: _end(span, outcome, problem)
        finally:
            context.detach(token)

    def raised(self, error: BaseException) -> None:
        from opentelemetry import trace

        span = trace.get_current_span()
        kind = type(error)
        span.set_attribute("error.type", f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
        span.record_exception(error)

    def flush(self) -> None:
        """Export what is not exported yet, if the provider can be told to."""
        from opentelemetry import trace

        provider = self._provider or trace.get_tracer_provider()
        if (force := getattr(provider, "force_flush", None)) is not None:
            force(FLUSH)


def _fitting(headers: dict[str, str]) -> dict[str, str] | None:
    if sum(len(name) + len(value) for name, value in headers.items()) > MOST:
        headers = {name: value for name, value in headers.items() if name == "traceparent"}
    return headers or None


def _links(headers: Mapping[str, str] | None) -> Sequence[Link]:
    """A link to where a message was sent, as far as it says."""
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context

    if not headers:
        return ()
    sent = trace.get_current_span(propagate.extract(headers, Context())).get_span_context()
    return (trace.Link(sent),) if sent.is_valid else ()


def _describe(span: Span, messages: Sequence[tuple[str, str, str]]) -> None:
    queues, names = {queue for _, queue, _ in messages}, {name for _, _, name in messages}
    facts: dict[str, Any] = _facts("send")
    if len(queues) == 1:
        (queue,) = queues
        span.update_name(f"send {queue}")
        facts["messaging.destination.name"] = queue
    if len(names) == 1:
        (facts["taskqueue.task.name"],) = names
    if len(messages) == 1:
        facts["messaging.message.id"] = messages[0][0]
    else:
        facts["messaging.batch.message_count"] = len(messages)
    span.set_attributes(facts)


def _facts(operation: str) -> dict[str, Any]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }


def _of_run(run: Running) -> dict[str, Any]:
    facts = _facts("process") | {
        "messaging.destination.name": run.queue,
        "messaging.message.id": run.id,
        "messaging.client.id": run.worker,
        "taskqueue.task.name": run.name,
        "taskqueue.attempt": run.attempt,
    }
    return facts | ({"taskqueue.parent.id": run.parent_id} if run.parent_id else {})


def _end(span: Span, outcome: str, problem: str | None) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("taskqueue.outcome", outcome)
    if problem is not None:
        span.set_status(Status(StatusCode.ERROR, problem))
