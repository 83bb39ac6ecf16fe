"""Poolers such as PgBouncer, which stand between us and PostgreSQL and lend its sessions out.

One that gives each transaction another session (transaction mode) breaks what belongs to a session, without a word:
what LISTEN asked for is told to somebody else, and prepared statements are unknown or exist already. It is better
found out when we connect than by what goes missing later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[Any]

#: what to say about it
WHAT = "a pooler stands there that gives each transaction another session (PgBouncer in transaction mode)"


def is_shared(connection: Connection, another: Callable[[], Connection]) -> bool:
    """Whether the session behind `connection`, which is in autocommit, is lent to others between its transactions.

    A proof is sought only where there is a pooler at all: the number that it told for this connection is then none of
    the server's. `another` opens a second connection by the same way. In session mode it has a session of its own.
    """
    session = _session(connection)
    if session == connection.info.backend_pid:
        return False
    with another() as other, other.transaction():
        return _session(other) == session


def _session(connection: Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    assert row is not None
    return int(row[0])
