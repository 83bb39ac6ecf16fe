"""An application that traces: its worker's spans go to the file $SPANS, a line of JSON each, when a batch is full.

That is never: so they are there only if the worker has them exported as it leaves.
"""

from __future__ import annotations

import os
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

import taskqueue.tracing
from taskqueue import on_worker_start

taskqueue.tracing.instrument()


@on_worker_start
def provide() -> None:
    file = Path(os.environ["SPANS"]).open("a")  # noqa: SIM115  # until the process ends
    exporter = ConsoleSpanExporter(out=file, formatter=lambda span: span.to_json(indent=None) + "\n")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=600_000))
    trace.set_tracer_provider(provider)
