"""The API: each route, what it needs, and the function that answers it.

A function's signature says the rest. After the desk come the parts of the path, as text; `query` is a struct of the
query string, `body` one of the JSON body; what it returns is the answer, and its docstring the description. `dispatch`
calls it by that, `openapi` describes it by that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any, get_type_hints

import msgspec

from taskqueue.web import events, fleet, openapi, operations, queues, tasks
from taskqueue.web.tokens import Right

READ, CHANGE = Right.READ_TASKS, Right.CHANGE_TASKS
SEE, STEER = Right.READ_FLEET, Right.CHANGE_FLEET


class Route(msgspec.Struct, frozen=True, dict=True):
    """One line of the table. `location` is where what was made can be looked at, with fields of the answer."""

    method: str
    path: str
    endpoint: Callable[..., Any]
    right: Right
    status: int = 200
    location: str = ""
    media_type: str = "application/json"

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The types of what it takes and gives."""
        return get_type_hints(self.endpoint, include_extras=True)

    @property
    def query(self) -> type[msgspec.Struct] | None:
        """What its query string may say."""
        return self.hints.get("query")

    @property
    def body(self) -> type[msgspec.Struct] | None:
        """What its body may say."""
        return self.hints.get("body")

    @property
    def gives(self) -> Any:
        """The type of its answer."""
        return self.hints["return"]

    @property
    def waits(self) -> bool:
        """It runs in the event loop, and may wait there; the others block, and run in a thread."""
        return inspect.iscoroutinefunction(self.endpoint)


TABLE = (
    Route("GET", "/tasks", tasks.search, READ),
    Route("POST", "/tasks", tasks.enqueue, CHANGE, 201, "/tasks/{id}"),
    Route("GET", "/tasks/{task_id}", tasks.get, READ),
    Route("GET", "/tasks/{task_id}/report", tasks.report, READ),
    Route("GET", "/tasks/{task_id}/attempts", tasks.attempts, READ),
    Route("GET", "/tasks/{task_id}/children", tasks.children, READ),
    Route("GET", "/tasks/{task_id}/why", tasks.why, READ),
    Route("POST", "/tasks/{task_id}/cancel", tasks.cancel, CHANGE),
    Route("POST", "/tasks/{task_id}/archive", tasks.archive, CHANGE),
    Route("POST", "/tasks/{task_id}/retry", tasks.retry, CHANGE, 201, "/tasks/{id}"),
    Route("GET", "/stats", tasks.stats, READ),
    Route("GET", "/operations", operations.index, READ),
    Route("POST", "/operations", operations.begin, CHANGE, 202, "/operations/{id}"),
    Route("GET", "/operations/{operation_id}", operations.get, READ),
    Route("DELETE", "/operations/{operation_id}", operations.stop, CHANGE),
    Route("GET", "/events", events.listen, READ, media_type="text/event-stream"),
    Route("GET", "/queues", queues.index, SEE),
    Route("GET", "/queues/{queue}", queues.get, SEE),
    Route("POST", "/queues/{queue}/pause", queues.pause, STEER),
    Route("POST", "/queues/{queue}/resume", queues.resume, STEER),
    Route("GET", "/workers", fleet.workers, SEE),
    Route("GET", "/hosts", fleet.hosts, SEE),
    Route("POST", "/hosts/{host}/pause", fleet.pause_host, STEER, 202, "/orders/{id}"),
    Route("POST", "/hosts/{host}/resume", fleet.resume_host, STEER, 202, "/orders/{id}"),
    Route("POST", "/hosts/{host}/pools/{pool}/scale", fleet.scale, STEER, 202, "/orders/{id}"),
    Route("POST", "/hosts/{host}/pools/{pool}/restart", fleet.restart, STEER, 202, "/orders/{id}"),
    Route("POST", "/hosts/{host}/pools/{pool}/pause", fleet.pause, STEER, 202, "/orders/{id}"),
    Route("POST", "/hosts/{host}/pools/{pool}/resume", fleet.resume, STEER, 202, "/orders/{id}"),
    Route("POST", "/pools/{pool}/scale", fleet.scale_everywhere, STEER, 202),
    Route("POST", "/pools/{pool}/restart", fleet.restart_everywhere, STEER, 202),
    Route("POST", "/pools/{pool}/pause", fleet.pause_everywhere, STEER, 202),
    Route("POST", "/pools/{pool}/resume", fleet.resume_everywhere, STEER, 202),
    Route("GET", "/orders/{order_id}", fleet.order, SEE),
    Route("GET", "/health", fleet.health, SEE),
    Route("GET", "/openapi.json", openapi.get, READ),
)
