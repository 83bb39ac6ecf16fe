"""What SQLite's errors mean, and what to do about them."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from taskqueue.database.dialects import Diagnosis, Failure
from taskqueue.database.sidefile import write_lock_holders

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_READ_ONLY = "cannot be written; give this user write access to the file and to its folder, which holds its side files"
_FULL = "the disk is full; free some space and try again"
_ADVICE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_AUTH: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; give this user access to the file and to its folder",
    sqlite3.SQLITE_IOERR: "the disk fails to read or write; look for a full disk, a file size limit or bad hardware",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; stop what uses it, keep a copy, and restore a backup or "
    "what the sqlite3 program's .recover finds",
    sqlite3.SQLITE_NOMEM: "out of memory",
}


def diagnose(error: sqlite3.Error, path: str) -> Diagnosis:
    """Understand an error of the driver. A busy database is told of by `locked`."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    if code in _BUSY:
        return Diagnosis(Failure.BUSY)
    if code == sqlite3.SQLITE_NOTADB:
        return Diagnosis(Failure.MISCONFIGURED, "the file is not a SQLite database; name another one")
    if code == sqlite3.SQLITE_CANTOPEN and Path(path).is_dir():
        return Diagnosis(Failure.MISCONFIGURED, "this is a folder; name a file in it")
    if code in _ADVICE:
        return Diagnosis(Failure.UNAVAILABLE, f"{_ADVICE[code]} ({error})")
    if code == sqlite3.SQLITE_ERROR and str(error).startswith("no such table"):
        return Diagnosis(Failure.UNPREPARED, f"{error}: was the file replaced? The next use creates what is missing")
    return Diagnosis(Failure.OURS)


def diagnose_os(error: OSError, path: str) -> Diagnosis:
    """Understand why a file could not be opened or created."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Diagnosis(Failure.MISCONFIGURED, f"there is no folder {Path(path).parent}; create it")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Diagnosis(Failure.UNAVAILABLE, f"{_FULL} ({error.strerror})")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Diagnosis(Failure.UNAVAILABLE, f"{_READ_ONLY} ({error.strerror}: {error.filename})")
    return Diagnosis(Failure.UNAVAILABLE, str(error))


def locked(seconds: float, *paths: str) -> str:
    """Who has kept us from writing for so long, by a lock on one of these files, in one line."""
    pids = write_lock_holders(*paths)
    others = [pid for pid in pids if pid != os.getpid()]
    if others:
        who = f"process {', '.join(map(str, others))}"
    else:
        who = "another thread of this process" if pids else "another process"
    return f"locked for {seconds:.3g} s by {who}; end its transaction, or try again"
