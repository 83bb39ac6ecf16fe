"""A status in its colour."""

from __future__ import annotations

from taskqueue.cli.terminal import Styled
from taskqueue.status import Status

STYLES = {
    Status.ENQUEUED: "",
    Status.DEQUEUED: "cyan",
    Status.RUNNING: "bold cyan",
    Status.CHILD_RUNNING: "cyan",
    Status.COMPLETED: "green",
    Status.FAILED: "bold red",
    Status.CANCELLED: "yellow",
    Status.ARCHIVED: "dim",
}


def status_cell(status: Status) -> Styled:
    """A status in its colour."""
    return Styled(status.label, STYLES[status])
