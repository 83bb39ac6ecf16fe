"""A PostgreSQL server: what keeps it from writing, from one more connection, and from cleaning up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from taskqueue.operations.doctor.finding import Finding, ill, well
from taskqueue.operations.times import seconds

#: seconds after which what keeps dead rows from being removed is told of
LONG = 600.0
#: the share of connections in use from which on they are said to be few
FULL = 0.9

_SERVER = sa.text(
    "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS replica, "
    "current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most, "
    "pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all"
)
_CONNECTIONS = sa.text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
_SESSIONS = sa.text(
    "SELECT pid, usename, application_name, state, extract(epoch FROM clock_timestamp() - xact_start) AS age "
    "FROM pg_stat_activity WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid() "
    "AND (datname = current_database() OR backend_type = 'walsender') "
    "AND xact_start < clock_timestamp() - make_interval(secs => :long) ORDER BY xact_start"
)
_PREPARED = sa.text(
    "SELECT gid, owner, extract(epoch FROM clock_timestamp() - prepared) AS age FROM pg_prepared_xacts "
    "WHERE database = current_database() AND prepared < clock_timestamp() - make_interval(secs => :long) "
    "ORDER BY prepared"
)
_SLOTS = sa.text(
    "SELECT slot_name FROM pg_replication_slots "
    "WHERE NOT active AND (xmin IS NOT NULL OR catalog_xmin IS NOT NULL) ORDER BY slot_name"
)


def server(name: str, connection: sa.Connection) -> Iterator[Finding]:
    """All of it."""
    found = connection.execute(_SERVER).one()
    yield well(name, f"PostgreSQL {found.version}")
    if found.replica:
        yield ill(name, "it is a replica, which only reads", "name the primary server")
    yield _connections(name, connection, found.most)
    pins = list(_pins(name, connection))
    yield from pins
    if not pins:
        limits = "" if found.sees_all else ", as far as this user may see (grant it pg_read_all_stats to see all)"
        yield well(name, f"nothing keeps dead rows from being removed{limits}")


def _connections(name: str, connection: sa.Connection, most: int) -> Finding:
    used = connection.execute(_CONNECTIONS).scalar_one()
    text = f"{used:,} of {most:,} connections are in use"
    if used < FULL * most:
        return well(name, text)
    return ill(name, text, "raise max_connections, or put PgBouncer before it (`listen = false` in the broker's table)")


def _pins(name: str, connection: sa.Connection) -> Iterator[Finding]:
    """While they last, no vacuum removes what died since, and every claim has to step over it."""
    for row in connection.execute(_SESSIONS, {"long": LONG}).all():
        yield ill(
            name,
            f"a transaction of {_who(row)} has been open for {seconds(float(row.age))} and keeps dead rows",
            f"end it: SELECT pg_terminate_backend({row.pid})",
        )
    for row in connection.execute(_PREPARED, {"long": LONG}).all():
        yield ill(
            name,
            f"a prepared transaction of {row.owner} is {seconds(float(row.age))} old and keeps dead rows",
            f"COMMIT PREPARED '{row.gid}', or ROLLBACK PREPARED '{row.gid}'",
        )
    for row in connection.execute(_SLOTS).all():
        yield ill(
            name,
            f"nobody reads the replication slot {row.slot_name}, which keeps dead rows and fills the disk",
            f"if it is not needed: SELECT pg_drop_replication_slot('{row.slot_name}')",
        )


def _who(row: sa.Row[Any]) -> str:
    program = f", {row.application_name}" if row.application_name else ""
    return f"{row.usename} (process {row.pid}{program}, {row.state})"
