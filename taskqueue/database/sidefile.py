"""The files beside a SQLite database, and who may open them: whoever may open the database, and no one else."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def create_database(path: str, *, again: bool = False) -> None:
    """Create an empty database file for its owner alone (0600), unless it exists.

    Task parameters may be private. Whoever wants to share the file sets its permissions, which are then kept. Its
    folder is created if only the last one is missing (0700); else FileNotFoundError. `again`: this process has used
    it before, so a folder that is not there is a drive that went away, and nothing is created in its place.
    """
    folder = Path(path).parent
    if not again and not folder.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        # Never opens one that exists: closing it would drop the locks that SQLite has on it in this process.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def open_side_file(path: str, *, database: str) -> int:
    """A read-write descriptor of that file, created with the owner and permissions of the database."""
    try:
        return os.open(path, os.O_RDWR)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        share_like(path, database=database)
        return descriptor


def share_like(path: str, *, database: str) -> None:
    """Give a side file the owner and permissions of its database."""
    model = Path(database).stat()
    Path(path).chmod(model.st_mode & 0o666)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.chown(path, model.st_uid, model.st_gid)


def write_lock_holders(*paths: str) -> list[int]:
    """Pids of the processes that hold a write lock on one of these files, where the system tells (Linux)."""
    nodes = {_node(path) for path in paths} - {None}
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines if "->" not in line]
    pids = {int(f[4]) for f in fields if f[3] == "WRITE" and f[5].rpartition(":")[2] in nodes}
    return sorted(pid for pid in pids if pid > 0)


def _node(path: str) -> str | None:
    try:
        return str(Path(path).stat().st_ino)
    except OSError:
        return None
