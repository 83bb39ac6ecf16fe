"""Workers that are registered and alive, wherever they run."""

from __future__ import annotations

from taskqueue.app import App
from taskqueue.database import incarnations
from taskqueue.database.incarnations import Incarnation


def workers(app: App) -> list[Incarnation]:
    """The living ones of all databases, keepers among them, oldest first; each once. Raises BrokerUnavailable."""
    found = {one.id: one for database in app.registers for one in incarnations.alive(database)}
    return sorted(found.values(), key=lambda one: (one.started_at, one.id))
