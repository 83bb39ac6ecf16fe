"""Metric families for Prometheus, from plain values. Names and units follow its conventions.

https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from taskqueue.visible import storable
from taskqueue.worker.counters import Histogram

PREFIX = "taskqueue_"
#: longest value of a label, in characters
LONGEST = 255
Labels = dict[str, str]
Samples = Iterable[tuple[Labels, float | None]]


def gauge(name: str, words: str, samples: Samples) -> Metric:
    """What is so at this moment; values that are None are left out."""
    return _family(name, words, "gauge", samples)


def counter(name: str, words: str, samples: Samples) -> Metric:
    """What only rises. `name` has no `_total`, which stands behind it."""
    return _family(name, words, "counter", samples, suffix="_total")


def histogram(name: str, words: str, bounds: Sequence[float], samples: Iterable[tuple[Labels, Histogram]]) -> Metric:
    """Values between bounds."""
    family = Metric(PREFIX + name, words, "histogram")
    for labels, values in samples:
        said, below = _said(labels), 0
        for bound, count in zip((*bounds, float("inf")), values.counts, strict=True):
            below += count
            at_most = floatToGoString(bound)  # type: ignore[no-untyped-call]  # it has no types
            family.add_sample(f"{family.name}_bucket", said | {"le": at_most}, below)
        family.add_sample(f"{family.name}_count", said, below)
        family.add_sample(f"{family.name}_sum", said, values.sum)
    return family


def _family(name: str, words: str, kind: str, samples: Samples, *, suffix: str = "") -> Metric:
    family = Metric(PREFIX + name, words, kind)
    for labels, value in samples:
        if value is not None:
            family.add_sample(family.name + suffix, _said(labels), value)
    return family


def _said(labels: Labels) -> Labels:
    """Labels whose values can be sent: names of tasks and queues are anybody's. Quotes and line breaks are escaped."""
    return {name: storable(value[:LONGEST]) for name, value in labels.items()}
