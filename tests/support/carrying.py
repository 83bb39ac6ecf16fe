"""Messages into a broker and out of it, in one word each."""

from __future__ import annotations

from typing import Any

from taskqueue.brokers.base import Broker
from taskqueue.message import Message


def push(broker: Broker, *ids: str, **options: Any) -> None:
    broker.push([Message(name, b"{}", **options) for name in ids])


def pop(broker: Broker, limit: int = 100) -> list[str]:
    """The ids of what was leased."""
    return [delivery.id for delivery in broker.pop(limit=limit, lease=60)]
