"""What databases are asked, whichever way it goes: through SQLAlchemy, or to the driver directly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from taskqueue.database.direct import Direct


@contextmanager
def asked() -> Iterator[list[str]]:
    """The statements of this process, as they come; COPY is none."""
    seen: list[str] = []
    driver = Direct.driver

    def directly(self: Direct, connection: sa.Connection, text: str) -> Any:
        seen.append(text)
        return driver(self, connection, text)

    def listener(*told: Any) -> None:
        seen.append(told[2])

    sa.event.listen(sa.Engine, "before_cursor_execute", listener)
    try:
        with patch.object(Direct, "driver", directly):
            yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listener)
