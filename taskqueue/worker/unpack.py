"""From a held delivery to work: decoded once, in the lifeline, so that the task thread only runs it."""

from __future__ import annotations

from taskqueue import codec
from taskqueue.codec import DecodedTask
from taskqueue.errors import InvalidArguments, MessageInvalid, TaskQueueError
from taskqueue.queue import Held, Queue
from taskqueue.registry import Registry
from taskqueue.worker.inbox import Work


def unpack(queue: Queue, held: Held, registry: Registry, *, worker: str, lease_end: float) -> Work:
    """Decode the message; what is wrong with it becomes the work's `problem` (P7)."""
    cancelled = held.claim.cancel_requested
    try:
        task = _decoded(held.delivery.body, registry)
    except TaskQueueError as error:
        name, parent_id, master_status = _header(held.delivery.body)
        return Work(queue, held, worker, name, parent_id, master_status, None, error, 0.0, lease_end, cancelled)
    timeout = task.options.timeout
    if timeout is None:
        timeout = task.definition.options.timeout
    if timeout is None:
        timeout = queue.limits.timeout
    header = task.header
    return Work(
        queue,
        held,
        worker,
        header.name,
        header.parent_id,
        header.master_status,
        task,
        None,
        timeout,
        lease_end,
        cancelled,
    )


def _decoded(body: bytes, registry: Registry) -> DecodedTask:
    try:
        return codec.decode(body, registry)
    except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
        raise InvalidArguments(f"its code left by {type(error).__name__} when the worker built the task") from error


def _header(body: bytes) -> tuple[str, str | None, bool]:
    try:
        header = codec.peek(body)
    except MessageInvalid:
        return "?", None, False
    return header.name, header.parent_id, header.master_status
