"""What a supervisor's web child tells Prometheus of its host: what workers and master count, and what the master says.

The master's own word comes through its control socket; where it says nothing, the rest is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from prometheus_client.metrics_core import Metric

from supervisor import metrics
from supervisor.blocks import Blocks
from supervisor.client import Connection, Unreachable
from supervisor.crashes import crashes
from taskqueue.snapshot import Snapshot
from taskqueue.web.counted import families as counted
from taskqueue.web.families import counter, gauge

#: seconds for a master's answer
PATIENCE = 2.0


class Scrape:
    """Call it for the families of this host. `blocks` are the scoreboard's, `socket` is the master's."""

    def __init__(self, blocks: Blocks, socket: Path) -> None:
        self._blocks = blocks
        self._socket = socket

    def __call__(self) -> Iterator[Metric]:
        """The families, as of now."""
        yield from counted(self._blocks.counts(), away=self._blocks.away)
        yield counter(
            "crashes",
            "Deaths of this host's processes that nobody ordered; task is the one that is to blame.",
            [
                ({"pool": crash.pool, "task": crash.task, "cause": crash.cause}, count)
                for crash, count in crashes(self._blocks.master).items()
            ],
        )
        snapshot = self._snapshot()
        yield gauge("supervisor_up", "Whether the supervisor of this host answers.", [({}, snapshot is not None)])
        if snapshot is not None:
            yield from map(_as_metric, metrics.families(snapshot))

    def _snapshot(self) -> Snapshot | None:
        try:
            with Connection(str(self._socket), timeout=PATIENCE) as connection:
                return msgspec.convert(connection.ask({"command": "status"}).get("snapshot"), Snapshot)
        except (Unreachable, msgspec.ValidationError):
            return None


def _as_metric(family: metrics.Family) -> Metric:
    name = f"supervisor_{family.name.removesuffix('_total')}"
    return (counter if family.kind == "counter" else gauge)(name, family.help, family.samples)
