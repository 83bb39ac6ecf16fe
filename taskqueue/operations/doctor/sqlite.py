"""A SQLite file and the file system under it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from taskqueue.database.engine import Database
from taskqueue.operations.doctor.finding import Finding, ill, well

#: file systems whose locks other hosts do not keep, or that have no shared memory
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smbfs", "smb2", "smb3", "9p", "drvfs", "vboxsf", "afs", "ceph", "lustre"})
LEAST_FREE = 256 * 1024 * 1024
LARGEST_LOG = 1024 * 1024 * 1024


def file(database: Database, path: str) -> Iterator[Finding]:
    """Where it stands, how it is written, what room is left."""
    yield _file_system(database.name, path)
    with database.read() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    if mode == "wal":
        yield well(database.name, "writes ahead (WAL)")
    else:
        yield ill(
            database.name,
            f"journal mode {mode}",
            "something else set it; stop all that uses the file, and run `taskqueue init`",
        )
    yield _room(database.name, Path(path).parent)
    yield from _log(database.name, f"{path}-wal")


def file_system_of(path: str) -> str:
    """The kind of the file system that holds `path`, e.g. "ext4"; an empty text if nobody can tell."""
    import psutil

    real = os.path.realpath(path)
    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    holding = [point for point in mounts if os.path.commonpath([real, point]) == point]
    return str(mounts[max(holding, key=len)]) if holding else ""


def _file_system(name: str, path: str) -> Finding:
    kind = file_system_of(path)
    if kind in NETWORK or kind.startswith("fuse."):
        return ill(
            name,
            f"the file stands on a network file system ({kind}), where locks cannot be trusted",
            "move it to a local disk; to share queues between hosts use PostgreSQL or MySQL",
        )
    return well(name, f"local file system ({kind or 'unknown'})")


def _room(name: str, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    size = f"{free / 1e9:,.1f} GB free in {folder}"
    return (
        well(name, size) if free >= LEAST_FREE else ill(name, size, "free some space: enqueuing fails on a full disk")
    )


def _log(name: str, path: str) -> Iterator[Finding]:
    try:
        size = Path(path).stat().st_size
    except OSError:
        return
    if size > LARGEST_LOG:
        yield ill(
            name,
            f"its write-ahead log has grown to {size / 1e9:,.1f} GB",
            "some program keeps a transaction open on the file: end it",
        )
