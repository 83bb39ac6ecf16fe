"""A MariaDB or MySQL server: what keeps it from writing, from one more connection, and from cleaning up."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from taskqueue.operations.doctor.finding import Finding, ill, well
from taskqueue.operations.times import seconds

#: seconds after which an open transaction is told of
LONG = 600.0
#: the share of connections in use from which on they are said to be few
FULL = 0.9
#: the largest body, with its bytes escaped, and the rest of its statement
PACKET = 16 * 1024 * 1024

_SERVER = sa.text(
    "SELECT VERSION() AS version, @@global.read_only AS read_only, @@global.max_connections AS most, "
    "@@global.max_allowed_packet AS packet"
)
_CONNECTIONS = sa.text("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
# When it began is in the server's own time zone, whatever the session's is.
_TRANSACTIONS = sa.text(
    "SELECT trx_mysql_thread_id AS number, age FROM (SELECT trx_mysql_thread_id, "
    "TIMESTAMPDIFF(SECOND, CONVERT_TZ(trx_started, 'SYSTEM', '+00:00'), UTC_TIMESTAMP()) AS age "
    "FROM information_schema.innodb_trx) AS found WHERE age >= :long AND trx_mysql_thread_id <> CONNECTION_ID() "
    "ORDER BY age DESC"
)


def server(name: str, connection: sa.Connection) -> Iterator[Finding]:
    """All of it."""
    found = connection.execute(_SERVER).one()
    yield well(name, f"{'MariaDB' if 'mariadb' in found.version.lower() else 'MySQL'} {found.version}")
    if str(found.read_only) not in ("0", "OFF"):
        yield ill(name, "it only reads, as a replica does", "name the primary server")
    if found.packet < PACKET:
        yield ill(
            name,
            f"max_allowed_packet is {found.packet:,} bytes, too few for the largest messages",
            f"set it to {PACKET:,} or more",
        )
    yield _connections(name, connection, found.most)
    yield from _transactions(name, connection)


def _connections(name: str, connection: sa.Connection, most: int) -> Finding:
    used = int(connection.execute(_CONNECTIONS).one()[1])
    text = f"{used:,} of {most:,} connections are in use"
    return well(name, text) if used < FULL * most else ill(name, text, "raise max_connections")


def _transactions(name: str, connection: sa.Connection) -> Iterator[Finding]:
    """While one lasts, nothing that was changed since is purged, and every claim has to step over it."""
    try:
        rows = connection.execute(_TRANSACTIONS, {"long": LONG}).all()
    except DBAPIError:
        yield well(name, "its old transactions cannot be seen by this user (grant it PROCESS to see them)")
        return
    for row in rows:
        yield ill(
            name,
            f"a transaction of connection {row.number} has been open for {seconds(float(row.age))} and keeps dead rows",
            f"look at it in SHOW PROCESSLIST; end it: KILL {row.number}",
        )
    if not rows:
        yield well(name, "no transaction keeps dead rows from being removed")
