"""The static files, which browsers keep: their addresses change when they do."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from taskqueue.web.pages.rendering import STATIC


class Files(StaticFiles):
    """Files of the package; the address has a mark of their content (`rendering.mark_of`)."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    def file_response(self, *given: Any, **named: Any) -> Response:
        """Kept for a year: another content has another address."""
        response = super().file_response(*given, **named)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
