"""What PostgreSQL's errors mean, and what to do about them."""

from __future__ import annotations

from taskqueue.database.dialects import Diagnosis, Failure

_AWAY = "does not answer; is the server running, and the address right?"
_POOLER = (
    "a pooler gives each transaction another session; set listen = false beside the url, or direct_url to the server "
    "itself"
)
#: by SQLSTATE or its class: the kind, and what to do
_STATES = {
    "40": (Failure.BUSY, "another transaction was in the way; try again"),
    "55P03": (Failure.BUSY, "others held a lock for longer than enqueue_timeout; end their transactions, or try again"),
    "57014": (Failure.UNAVAILABLE, "a statement took longer than enqueue_timeout; is the server overloaded?"),
    "08": (Failure.UNAVAILABLE, "the connection broke; try again"),
    "57P": (Failure.UNAVAILABLE, "the server ended the session or is starting; try again"),
    "53300": (Failure.UNAVAILABLE, "it has no connection left; raise max_connections or put PgBouncer before it"),
    "53": (Failure.UNAVAILABLE, "the server lacks memory, disk or connections"),
    "58": (Failure.UNAVAILABLE, "the server cannot read or write its files; look into its log"),
    "25006": (Failure.UNAVAILABLE, "it is read-only, as a replica is; name the primary server"),
    "42P01": (Failure.UNPREPARED, "a table is missing; run `taskqueue init`"),
    "3F000": (Failure.MISCONFIGURED, "the schema is missing; run `taskqueue init`"),
    "26000": (Failure.MISCONFIGURED, _POOLER),
    "42P05": (Failure.MISCONFIGURED, _POOLER),
    "42501": (Failure.MISCONFIGURED, "this user may not do that; grant it the right"),
    "28": (Failure.MISCONFIGURED, "the server does not let this user in; check user and password"),
    "3D000": (Failure.MISCONFIGURED, "there is no such database; create it, or name another one"),
}
#: what a server says before there is a session, which the driver passes on as text alone
_REFUSALS = (
    ("authentication failed", "28"),
    ("no password supplied", "28"),
    ("no pg_hba.conf entry", "28"),
    ("role ", "28"),
    ("too many ", "53300"),
    ("remaining connection slots", "53300"),
    ("the database system is ", "57P03"),  # starting, or shutting down
    ("database ", "3D000"),
)


def diagnose(error: BaseException) -> Diagnosis:
    """Understand an error of psycopg."""
    state = _state(error)
    for key in (state, state[:3], state[:2]):
        if key in _STATES:
            failure, advice = _STATES[key]
            return Diagnosis(failure, f"{advice} ({_line(error)})")
    if state:
        return Diagnosis(Failure.OURS)
    if type(error).__name__ in ("OperationalError", "ConnectionTimeout", "InterfaceError"):
        return Diagnosis(Failure.UNAVAILABLE, f"{_AWAY} ({_line(error)})")
    return Diagnosis(Failure.OURS)


def is_replica(error: BaseException) -> bool:
    """Whether the server refuses to write because it is none to write to."""
    return _state(error) == "25006"


def _state(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None)
    if state == "0A000" and "during recovery" in str(error):
        return "25006"  # a replica's answer to BEGIN READ WRITE
    if state:
        return str(state)
    _, fatal, text = str(error).partition("FATAL:")
    if not fatal:
        return ""
    return next((state for words, state in _REFUSALS if words in text), "08")


def _line(error: BaseException) -> str:
    text = str(error)
    # With several addresses the driver tells of each attempt.
    return " ".join(text.split("Multiple connection attempts", maxsplit=1)[0].split())
