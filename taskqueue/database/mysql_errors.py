"""What the errors of MariaDB and MySQL mean, and what to do about them."""

from __future__ import annotations

from taskqueue.database.dialects import Diagnosis, Failure

_AWAY = Failure.UNAVAILABLE, "does not answer; is the server running, and the address right?"
_BROKEN = Failure.UNAVAILABLE, "the connection broke; try again"
_NOT_READY = Failure.UNAVAILABLE, "the server takes no work now; is its cluster complete? It is tried again"
_FULL = Failure.UNAVAILABLE, "the server's disk or table is full; free some space and try again"
_READ_ONLY = Failure.UNAVAILABLE, "it is read-only, as a replica is; name the primary server"
_CROWDED = Failure.UNAVAILABLE, "it has no connection left; raise max_connections"
_REFUSED = Failure.MISCONFIGURED, "the server does not let this user in; check user and password"
_FORBIDDEN = Failure.MISCONFIGURED, "this user may not do that; grant it the right"
_KNOWN = {
    1205: (Failure.BUSY, "others held a lock for longer than enqueue_timeout; end their transactions, or try again"),
    1213: (Failure.BUSY, "another transaction was in the way; try again"),
    1020: (Failure.BUSY, "another transaction was in the way; try again"),
    3101: (Failure.BUSY, "another server of the group was in the way; try again"),
    2002: _AWAY,
    2003: _AWAY,
    2005: _AWAY,
    0: _BROKEN,
    1053: _BROKEN,
    1077: _BROKEN,
    1317: _BROKEN,
    1927: _BROKEN,
    2006: _BROKEN,
    2013: _BROKEN,
    2014: _BROKEN,
    2055: _BROKEN,
    4031: _BROKEN,
    1047: _NOT_READY,
    3032: _NOT_READY,
    3100: _NOT_READY,
    3168: _NOT_READY,
    1021: _FULL,
    1114: _FULL,
    1290: _READ_ONLY,
    1792: _READ_ONLY,
    1836: _READ_ONLY,
    1040: _CROWDED,
    1203: _CROWDED,
    1226: _CROWDED,
    1153: (Failure.UNAVAILABLE, "the message is larger than the server takes; raise max_allowed_packet"),
    1146: (Failure.UNPREPARED, "a table is missing; run `taskqueue init`"),
    1049: (Failure.MISCONFIGURED, "there is no such database; create it, or name another one"),
    1045: _REFUSED,
    1698: _REFUSED,
    1251: _REFUSED,
    1130: _REFUSED,
    1820: _REFUSED,
    1862: _REFUSED,
    2059: _REFUSED,
    1665: (Failure.MISCONFIGURED, "it logs statements for its replicas; set binlog_format to ROW or MIXED"),
    1044: _FORBIDDEN,
    1142: _FORBIDDEN,
    1227: _FORBIDDEN,
}


def diagnose(error: BaseException) -> Diagnosis:
    """Understand an error of PyMySQL."""
    failure, advice = _KNOWN.get(_number(error), (Failure.OURS, ""))
    return Diagnosis(failure, f"{advice} ({' '.join(str(error).split())})" if advice else "")


def is_replica(error: BaseException) -> bool:
    """Whether the server refuses to write because it is none to write to."""
    return _KNOWN.get(_number(error)) is _READ_ONLY


def _number(error: BaseException) -> int:
    first = error.args[0] if error.args else -1
    return first if isinstance(first, int) else -1
