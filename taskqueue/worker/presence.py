"""Proof of death for workers of one host.

Each holds an exclusive `flock` on a file of its own beside the database, for as long as it lives; the kernel lets go
of it whatever ends the process. Who gets the lock knows that the holder is dead: no process id that was used again, no
other pid namespace, no clock can say otherwise. The file is also the worker's scorecard, so the finder reads what ran.

The rejected alternative, a pid and its start time looked up in /proc, calls every worker of another container dead.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import mmap
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from taskqueue.database.sidefile import share_like
from taskqueue.errors import BrokerUnavailable
from taskqueue.worker.deaths import Death
from taskqueue.worker.scorecard import SIZE, Card, Scorecard

if sys.platform != "win32":
    import fcntl


#: a supervised worker that lies dead for so long, in seconds, has no master
ORPHANED = 3.0


def stem_of(database: str) -> Path | None:
    """Where workers of a database that is no file prove that they live: a folder of this user's on this host alone.

    A service of systemd has $STATE_DIRECTORY, which outlives it and a reboot (systemd.exec(5)); else it is the folder
    for temporary files. None if there can be none that nobody else could have prepared.
    """
    place = os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or tempfile.gettempdir()
    folder = Path(place) / f"taskqueue-{os.geteuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700)
    try:
        found = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return folder / hashlib.sha256(database.encode()).hexdigest()[:16] if private else None


class Presence:
    """This worker's file: made, locked and mapped; removed by `leave`."""

    def __init__(self, stem: Path, incarnation: str, *, slot: str, supervised: bool = False) -> None:
        self.path = stem.with_name(f"{stem.name}-worker-{incarnation}")
        # Locked and written under another name first: a finder never sees it unlocked while we live.
        hidden = self.path.with_name(f".{self.path.name}")
        try:
            self._fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BrokerUnavailable(
                f"{stem}: a worker cannot make its own file beside it ({error.strerror}); give this user write access "
                f"to {stem.parent}"
            ) from error
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.ftruncate(self._fd, SIZE)
        self._map = _mapped(hidden)
        self.scorecard = Scorecard(self._map)
        self.scorecard.write(Card(incarnation=incarnation, slot=slot, supervised=supervised))
        with contextlib.suppress(FileNotFoundError):
            # Whoever shares the database may have to look for its dead.
            share_like(str(hidden), database=str(stem))
        hidden.rename(self.path)
        # A child that a task forks must not hold our lock when we are dead.
        os.register_at_fork(after_in_child=self._let_go)

    def leave(self) -> None:
        """The worker is gone in good order: nobody needs to look for it."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self._let_go()
        self.scorecard.close()
        self._map.close()

    def _let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class FoundDead:
    """The deaths of workers beside that stem; `clock` gives monotonic seconds.

    Of a supervised one its master tells the keeper at once, and the cause too. Who still lies there a little later has
    no master any more.
    """

    def __init__(self, stem: Path, clock: Callable[[], float]) -> None:
        self._stem = stem
        self._clock = clock
        #: supervised ones, and when they were first seen dead
        self._seen: dict[str, float] = {}

    def find(self) -> Iterator[Death]:
        """Those that nobody has buried yet."""
        now, seen = self._clock(), self._seen
        self._seen = {}
        for incarnation, card in find_dead(self._stem):
            if card is not None and card.supervised:
                self._seen[incarnation] = seen.get(incarnation, now)
                if now < self._seen[incarnation] + ORPHANED:
                    continue
            yield Death.alone(incarnation, card, now)

    def bury(self, death: Death) -> None:
        """Its file goes."""
        bury(self._stem, death.incarnation)


def find_dead(stem: Path) -> Iterator[tuple[str, Card | None]]:
    """Incarnations whose process is over, with what their scorecard said last.

    The file stays until `bury`, so that a finder that dies itself hides nothing.
    """
    for path in sorted(stem.parent.glob(f"{glob.escape(stem.name)}-worker-*")):
        incarnation = path.name.removeprefix(f"{stem.name}-worker-")
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError):
            continue  # It has just left, or is for a keeper of its own user to find.
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Removed meanwhile: it left in good order, or another finder buried it.
            if os.fstat(fd).st_nlink:
                yield incarnation, _card(fd)
        except BlockingIOError:
            continue
        finally:
            os.close(fd)


def bury(stem: Path, incarnation: str) -> None:
    """Remove a dead worker's file, after what it held was recovered."""
    with contextlib.suppress(FileNotFoundError):
        stem.with_name(f"{stem.name}-worker-{incarnation}").unlink()


def _mapped(path: Path) -> mmap.mmap:
    # By a descriptor of its own: the map keeps a copy of it, and so does a forked child's. It must not bear our lock.
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(fd, SIZE)
    finally:
        os.close(fd)


def _card(fd: int) -> Card | None:
    if os.fstat(fd).st_size < SIZE:
        return None
    with mmap.mmap(fd, SIZE) as buffer:
        return Scorecard(buffer).read()
